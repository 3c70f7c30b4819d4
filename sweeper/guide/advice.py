"""What a screening can honestly say: what was seen, what is worth confirming, and what it would take. No claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sweeper.guide.guidance import CellResult, Rule, SeedAudit, StageResult
from sweeper.guide.numerals import change, counted, metric_name, share, spread
from sweeper.records import StudyRecord

CHANCE = 0.05
SATURATED = 0.10


class Findings(NamedTuple):
    """What advice is given from; `lowest` is the setting with the lowest mean seen, among those not stopped."""

    record: StudyRecord
    main: StageResult
    fresh: StageResult | None
    lowest: CellResult | None
    seeds: SeedAudit

    @property
    def metric(self) -> str:
        """The objective as readers know it."""
        return metric_name(self.record.study.objective)


def unstopped(results: Iterable[CellResult]) -> list[CellResult]:
    """The measured cells no trial of which was stopped or diverged, lowest mean first."""
    whole = [one for one in results if one.mean is not None and not {"pruned", "diverged"} & one.states.keys()]
    return sorted(whole, key=lambda one: (one.mean or 0.0, one.key))


def candidates(main: StageResult, top: int) -> list[CellResult]:
    """The settings worth confirming: the lowest means whose intervals do not lie wholly above the baseline."""
    hopeful = [one for one in unstopped(main.cells) if one.change is None or one.change.side != "above"]
    return hopeful[:top]


def changed(result: CellResult) -> str:
    """Write a cell's change to the baseline with its interval."""
    if result.change is None:
        return "no shared seed with the baseline"
    return change(result.change.mean, result.change.low, result.change.high)


def rules(found: Findings) -> tuple[Rule, ...]:
    """Say what to do now; every rule carries its evidence, and none is a claim."""
    return tuple(
        rule for rule in (_default(), *_confirm(found), *_spent(found), _saturation(found), _controls(found)) if rule
    )


def _default() -> Rule:
    return Rule(
        rule="Until a setting is confirmed, keep lambda 0",
        evidence="no gain has been shown",
        grade="none",
    )


def _confirm(found: Findings) -> list[Rule]:
    if found.fresh is not None or found.main.stage == "confirm":
        return [
            Rule(rule=f"On fresh seeds: {one.cell.label}", evidence=changed(one),
                 grade="fresh seeds, no claim")
            for one in unstopped((found.fresh or found.main).cells)
        ]  # fmt: skip
    hopeful = candidates(found.main, found.seeds.top)
    if not hopeful and found.main.cells and found.main.count("above"):
        text = "Confirm nothing from this grid in the hope of a gain; look at weaker settings first"
        seen = f"{counted(found.main.count('above'), 'interval')} wholly above the baseline, no candidate left"
        return [Rule(rule=text, evidence=seen, grade="screening")]
    return [
        Rule(rule=f"Worth confirming: {one.cell.label}", evidence=changed(one), grade="screening") for one in hopeful
    ]


def _spent(found: Findings) -> list[Rule]:
    audit = found.seeds
    if audit.difference_sd is None:
        return []
    needed = "more than 1,000 fresh seeds" if audit.needed is None else counted(audit.needed, "fresh seed")
    shown = "no gain at all" if audit.detectable is None else f"a gain of {100 * audit.detectable:.2g} % or more"
    rule = f"To see a gain of {100 * audit.margin:g} % with 80 % power: {needed}"
    return [
        Rule(rule=rule, evidence=f"the planned {audit.planned} show {shown}; spread in section 3", grade="screening")
    ]


def _saturation(found: Findings) -> Rule | None:
    flagged = [one for one in found.main.cells if one.saturated]
    if not flagged:
        return None
    most = max(flagged, key=lambda one: one.floor_share or 0.0)
    return Rule(
        rule=f"Do not compare blocks or tau among the {counted(len(flagged), 'saturated setting')} (◦)",
        evidence=f"up to {share(most.floor_share)} of steps at the floor -log B, where the loss has no gradient",
        grade="screening",
    )


def _controls(found: Findings) -> Rule | None:
    measured = [one for one in found.main.controls if one.change]
    if not measured:
        return None
    seen = "; ".join(f"{one.cell.label} {changed(one)}" for one in measured)
    return Rule(rule="Judge dispersion beside the plain control arms, not only beside lambda 0", evidence=seen,
                grade="screening")  # fmt: skip


def next_steps(found: Findings) -> tuple[str, ...]:
    """Say what to run next, as commands and changes to the study file."""
    main, steps = found.main, []
    if any(state in one.states for one in _all(main) for state in ("waiting", "running", "failed")):
        steps.append(f"Finish what is open: `{run_command(found.record)}` continues where it stopped.")
    if found.fresh is None and main.stage == "screen" and candidates(main, found.seeds.top):
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
        return f"Add `confirm: {{top: {audit.top}, seeds: {audit.planned}}}` to the study and run `{command}` again."
    more = f" --set confirm.seeds={audit.needed}" if audit.needed and audit.planned < audit.needed <= 50 else ""
    return f"Measure the lowest {audit.top} and the baseline on fresh seeds: `{command} --stage confirm{more}`."


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


def figure_of(result: CellResult) -> str:
    """Write a cell's mean, spread and number of seeds."""
    return f"{spread(result.mean, result.sd)} (n = {result.n})"
