"""Tables of the linear probe's results."""

from __future__ import annotations

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.probe import ProbeAccuracy
from sweeper.render.tables.guide_tables import MOST_ROWS, table
from sweeper.render.tables.table import Table
from sweeper.text import numbers


def probe_table(guide: Guide) -> Table:
    """Tabulate the probes' accuracies by block and noise level, the baseline's above the settings'."""
    probe = guide.probe
    if probe is None:
        return table((), ())
    levels = sorted({at.level for arm in probe.arms for at in arm.accuracies})
    blocks = sorted({at.block for arm in probe.arms for at in arm.accuracies})[:MOST_ROWS]
    rows = []
    for block in blocks:
        for arm in probe.arms:
            found = {at.level: at for at in arm.accuracies if at.block == block}
            alike = [at.similarity for at in found.values() if at.similarity is not None]
            cka = f"{sum(alike) / len(alike):.2f}" if alike else numbers.MISSING
            texts = (_accuracy(found[level]) if level in found else numbers.MISSING for level in levels)
            rows.append((f"block {block}", arm.label, *texts, cka))
    return table(("after", "cell", *(f"t = {level:g}" for level in levels), "CKA with other blocks"), rows)


def _accuracy(at: ProbeAccuracy) -> str:
    beside = "" if at.neighbours is None else f" ({100 * at.neighbours:.1f} %)"
    return f"{100 * at.linear:.1f} %{beside}"


def probe_step_table(guide: Guide) -> Table:
    """Tabulate the linear probe's mean accuracy by step; none where only the last rung was probed."""
    arms = [arm for arm in guide.probe.arms if arm.steps] if guide.probe else []
    steps = sorted({at.step for arm in arms for at in arm.steps})
    rows = []
    for arm in arms:
        found = {at.step: at.linear for at in arm.steps}
        texts = (f"{100 * found[step]:.1f} %" if step in found else numbers.MISSING for step in steps)
        rows.append((arm.label, *texts))
    return table(("linear probe, mean over blocks and levels", *(f"step {step:,}" for step in steps)), rows)
