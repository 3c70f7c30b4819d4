"""What to run next, as commands and changes to the study file."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.guide.findings import Findings, candidates
from sweeper.guide.results import CellResult, StageResult
from sweeper.records import StudyRecord


def next_steps(found: Findings) -> tuple[str, ...]:
    """Say what to run next."""
    stages = [stage for stage in (found.main, found.fresh) if stage]
    rows = [one for stage in stages for one in _all(stage)]
    steps = []
    if any(state in one.states for one in rows for state in ("waiting", "running", "failed")):
        steps.append(f"Finish what is open: `{run_command(found.record)}` continues where it stopped.")
    if found.confirming is None and candidates(found.main, found.seeds.top):
        steps.append(_confirm_step(found))
    steps += [step for step in (_edge(found), _weaker(found), _relative(found)) if step]
    return tuple(steps) or ("Repeat at the size you care about: nothing here speaks about other data or models.",)


def _all(stage: StageResult) -> Sequence[CellResult]:
    return (*((stage.baseline,) if stage.baseline else ()), *stage.rows)


def run_command(record: StudyRecord) -> str:
    """The command that runs this study, without the options it was given."""
    files = [word for word in record.provenance.command.split() if word.endswith((".yaml", ".yml"))]
    return f"sweeper run {files[0] if files else f'studies/{record.study.name}.yaml'}".replace("`", "")


def _confirm_step(found: Findings) -> str:
    command, audit = run_command(found.record), found.seeds
    if found.record.study.confirm is None:
        return f"Add `confirm: {{top: {audit.top}, seeds: auto}}` to the study and run `{command}` again."
    return f"Measure the lowest {audit.top} and the baseline on fresh seeds: `{command} --stage confirm`."


def _edge(found: Findings) -> str | None:
    if found.lowest is None or found.lowest.change is None or found.lowest.change.side == "above":
        return None
    here, others = found.lowest.cell.dispersion, [one.cell.dispersion for one in found.main.cells]
    ends = [
        f"{name} {value:g} (the {'lowest' if value == min(values) else 'highest'} tried)"
        for name, value, values in (
            ("lambda", here.lam, {one.lam for one in others}),
            ("tau", here.tau, {one.tau for one in others if one.variant != "covariance"}),
        )
        if len(values) > 1 and value in (min(values), max(values)) and (name, here.variant) != ("tau", "covariance")
    ]
    return (
        f"The lowest mean seen lies at the edge of the space: {' and '.join(ends)}; widen it there." if ends else None
    )


def _weaker(found: Findings) -> str | None:
    cells = found.main.cells
    compared = [one for one in cells if one.change and one.change.side != "unknown"]
    if not compared or found.main.count("above") < max(1, len(compared) / 2):
        return None
    smallest = min(one.cell.dispersion.lam for one in cells)
    return (
        f"Most settings lie above the baseline: try `space.lambda: [{smallest / 30:.1g}, {smallest / 10:.1g}, "
        f"{smallest / 3:.1g}]` before drawing conclusions about block or tau."
    )


def _relative(found: Findings) -> str | None:
    flagged = sum(one.saturated for one in found.main.cells)
    if not flagged or found.record.study.space.tau_units == "relative" or "l2" not in found.record.study.space.variant:
        return None
    return "Saturated settings can be compared with `space.tau_units: relative`, which growing features cannot satisfy."
