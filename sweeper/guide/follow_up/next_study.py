"""The next study: a file that would settle an open question, or none. Its seeds are fresh, its claims its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sweeper.guide.follow_up.build_study import Labelled, Tree, confirming, study_of
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.results import CellResult, Cost, StageResult
from sweeper.guide.schema.statements import Claim, NextStudy, Recommendation
from sweeper.planning.size import size
from sweeper.records import StudyRecord
from sweeper.statistics.error_budget import FEWEST_SEEDS
from sweeper.study import Confirm, Range, Study, values
from sweeper.study.knobs import DISTANCE, FEATURES, KNOBS, TAU_UNITS, VARIANT, Knob, KnobAxis
from sweeper.text.numbers import counted, percent

TOP = 3
MOST_SEEDS = 50
UNDECIDED = ("suggestive", "no evidence either way")
SMALLEST, LARGEST = 1e-6, 1e6  # of lambda and tau, as the trainer takes them
STEEPEST = 10.0  # the widest step beyond an edge
RELATIVE_TAUS = (0.5, 1.0, 2.0)
NUMBERS = {1: "lowest setting", 2: "lowest two settings", 3: "lowest three settings"}


class Findings(NamedTuple):
    """The results of a study that has ended."""

    record: StudyRecord
    stages: tuple[StageResult, ...]
    claims: tuple[Claim, ...]
    recommendation: Recommendation | None
    seeds: SeedAudit

    @property
    def main(self) -> StageResult:
        """The screen, or what there is."""
        return self.stages[0]

    @property
    def cells(self) -> dict[str, CellResult]:
        """Every setting by key, as the screen saw it if it did."""
        return {result.key: result for stage in reversed(self.stages) for result in stage.cells}


class Part(NamedTuple):
    """One thing that is open: what a study would aim at, what it asks, and what it must hold.

    `settings` are to be measured again; `space` holds changes of the study's own space; `fresh` confirm seeds are
    needed, None for as many as before.
    """

    aim: str
    asks: str
    settings: tuple[Labelled, ...] = ()
    space: Tree | None = None
    fresh: int | None = None


def next_study(
    record: StudyRecord,
    stages: tuple[StageResult, ...],
    claims: tuple[Claim, ...],
    recommendation: Recommendation | None,
    seeds: SeedAudit,
    spent: Cost,
) -> NextStudy | None:
    """Write the study that would settle this one's open questions; None if it is unfinished or none is open."""
    findings = Findings(record, stages, claims, recommendation, seeds)
    base, going = findings.main.baseline, {"waiting", "running"}
    if base is None or base.mean is None or any(trial.state in going for trial in record.trials):
        return None
    hopeful = sum(_is_hopeful(result) for result in findings.main.cells)
    if record.study.confirm is None and findings.main.stage == "screen" and hopeful:
        return _confirm(findings, min(hopeful, TOP), spent)
    weaker = _weaker(findings)
    if record.study.confirm is not None and not claims and weaker is None:
        return None
    parts = [part for part in (_undecided(findings), _edge(findings), weaker, _relative(findings)) if part]
    return _joined(findings, parts, spent) if parts else None


def _is_hopeful(result: CellResult) -> bool:
    stopped = result.audited or {"pruned", "diverged"} & result.states.keys()
    return result.mean is not None and not stopped and (result.change is None or result.change.side != "above")


def _confirm(findings: Findings, top: int, spent: Cost) -> NextStudy:
    study = confirming(findings.record.study, top)
    confirm = study.confirm
    assert confirm is not None
    arms = size(study).confirm_trials // confirm.limit
    trials = arms * min(confirm.limit, max(FEWEST_SEEDS, findings.seeds.needed or confirm.limit))
    aim = f"Confirm the {NUMBERS[top]} of the screen on fresh seeds; the run goes on where it stopped."
    return _written(study, f"{study.name}_confirm.yaml", (aim,), trials, findings.record, spent)


def _joined(findings: Findings, parts: Sequence[Part], spent: Cost) -> NextStudy:
    record, before = findings.record, findings.record.study
    changes: Tree = {name: value for part in parts for name, value in (part.space or {}).items()}
    space = {**before.space.model_dump(by_alias=True), **changes} if changes else None
    settings = {labelled.setting: labelled for part in parts for labelled in part.settings}
    fresh = next((part.fresh for part in parts if part.fresh), None) or _usual_seeds(findings)
    question = f"What {before.name} left open: {'; '.join(part.asks for part in parts)}?"
    study = study_of(record, question, tuple(settings.values()), space, fresh)
    planned = size(study)
    aims = tuple(part.aim for part in parts)
    return _written(study, f"{study.name}.yaml", aims, planned.trials + planned.confirm_trials, record, spent)


def _usual_seeds(findings: Findings) -> int:
    confirm = findings.record.study.confirm
    if findings.stages[-1].stage == "confirm":
        return max(2, len(findings.stages[-1].seeds))
    if confirm is None or confirm.seeds != "auto":
        return (confirm or Confirm()).seed_count
    return min(confirm.limit, max(FEWEST_SEEDS, findings.seeds.chosen or findings.seeds.needed or confirm.limit))


def _undecided(findings: Findings) -> Part | None:
    """Retest what the fresh seeds left undecided in the recommended set, if a reasonable number more can settle it."""
    members = findings.recommendation.members if findings.recommendation else ()
    cells = findings.cells
    open_ = [claim for claim in findings.claims if claim.standing in UNDECIDED and claim.key in members]
    count = _more_seeds(findings)
    if not open_ or count is None:
        return None
    name, margin = findings.record.study.name, f"{100 * findings.seeds.margin:g} %"
    enough = f"enough to see a gain of {margin} with {percent(findings.seeds.power)} power"
    if count != _needed(findings):
        enough = f"twice as many as before, which were enough to see a gain of {margin}, but not less"
    settings = [
        Labelled(cells[one.key].cell.dispersion, _label(cells[one.key], f"undecided in {name}")) for one in open_
    ]
    return Part(
        aim=f"Settle {counted(len(open_), 'undecided setting')} ({_listed(one.label for one in open_)}) on "
        f"{count} fresh seeds, {enough}.",
        asks=f"{'does an undecided setting' if len(open_) == 1 else f'do {len(open_)} undecided settings'} help",
        settings=tuple(settings),
        fresh=count,
    )


def _needed(findings: Findings) -> int | None:
    return findings.seeds.needed_once if findings.seeds.looks else findings.seeds.needed


def _more_seeds(findings: Findings) -> int | None:
    """How many fresh seeds are worth trying: those the margin needs or, where there were as many, twice as many."""
    # The next study gives their number, so it is judged once.
    needed, used = _needed(findings), len(findings.stages[-1].seeds)
    if needed is None:
        return None
    count = max(2, needed) if needed > used else 2 * used
    return count if count <= MOST_SEEDS else None


def _label(result: CellResult, otherwise: str) -> str:
    return result.cell.mark or otherwise


def _listed(labels: Iterable[str]) -> str:
    known = list(labels)
    return "; ".join(known[:3]) + (f"; and {len(known) - 3} more" if len(known) > 3 else "")


def _edge(findings: Findings) -> Part | None:
    """Go one step beyond the edge of lambda or tau at which the first choice lies."""
    first = findings.cells.get(findings.recommendation.first) if findings.recommendation else None
    if first is None:
        return None
    here, study = first.cell.dispersion, findings.record.study
    like = [result.cell.dispersion for result in findings.main.cells]
    # With another formula or other units tau is another quantity.
    measure = (VARIANT, TAU_UNITS, DISTANCE, FEATURES)
    like = [setting for setting in like if all(knob.of(setting) == knob.of(here) for knob in measure)]
    moves: dict[Knob, tuple[float, float]] = {}
    for knob in KNOBS:
        if knob.unbounded and isinstance(value := knob.of(here), float):
            new = _beyond(knob.axis(study), {getattr(setting, knob.field) for setting in like}, value)
            moves |= {knob: (value, new)} if new is not None else {}
    if not moves:
        return None
    steps = [
        f"{knob.name} {new:g}, {'above' if new > old else 'below'} the {old:g} at the edge"
        for knob, (old, new) in moves.items()
    ]
    own, beyond = _label(first, f"first choice of {study.name}"), f"one step beyond {study.name}"
    points = itertools.product(*map(sorted, moves.values()))
    changes = ({knob.field: value for knob, value in zip(moves, point, strict=True)} for point in points)
    settings = [here.model_copy(update=change) for change in changes]
    return Part(
        aim=f"Look one step beyond the first choice, {first.cell.label}: {' and '.join(steps)}.",
        asks=f"is it better beyond the edge of {' and '.join(knob.name for knob in moves)}",
        settings=tuple(Labelled(one, own if one == here else beyond) for one in settings),
    )


def _beyond(axis: KnobAxis, tried: set[float], value: float) -> float | None:
    """Return the next value of a knob if `value` is the lowest or highest of several; None if it is not, or no more."""
    points = sorted(set(values(axis)) if isinstance(axis, Range) else tried)
    if len(points) < 2:
        return None
    # A search has no grid points: a value within half a step of an end is at the edge, and a step has a least size.
    least = 1.5 if isinstance(axis, Range) else 1.0
    if value <= math.sqrt(points[0] * points[1]):
        new = min(value, points[0]) / min(max(points[1] / points[0], least), STEEPEST)
    elif value >= math.sqrt(points[-2] * points[-1]):
        new = max(value, points[-1]) * min(max(points[-1] / points[-2], least), STEEPEST)
    else:
        return None
    new = float(f"{new:.3g}")
    return new if SMALLEST <= new <= LARGEST and new not in points else None


def _weaker(findings: Findings) -> Part | None:
    """Go to weaker losses where everything that was measured is worse than the baseline."""
    sides = [result.change.side for result in findings.main.cells if result.change]
    claimed = {claim.standing for claim in findings.claims}
    if claimed != {"confirmed hurts"} and set(sides) != {"above"}:
        return None
    smallest = min(result.cell.dispersion.lam for result in findings.main.cells)
    tries = (float(f"{smallest / part:.1g}") for part in (30, 10, 3))
    lams = tuple(dict.fromkeys(lam for lam in tries if SMALLEST <= lam < smallest))
    if not lams:
        return None
    return Part(
        aim=f"Try lambda {', '.join(f'{lam:g}' for lam in lams)}: from {smallest:g} on, all that was measured is worse "
        "than the baseline.",
        asks="does a weaker loss help",
        space={"lambda": lams},
    )


def _relative(findings: Findings) -> Part | None:
    """Measure tau in units of the mean distance where more than half of an l2 study is saturated."""
    cells, space = findings.main.cells, findings.record.study.space
    flagged = sum(result.saturated for result in cells)
    if space.tau_units != TAU_UNITS.usual or {*space.variant} != {"l2"} or 2 * flagged <= len(cells):
        return None
    if 2 in space.local_batch:
        return None  # two samples have one distance, which is 1 in its own units
    return Part(
        aim="Use relative tau, so that the model cannot satisfy the loss by growing its features alone: "
        f"{flagged:,} of {counted(len(cells), 'setting')} saturated, where block and tau mean nothing.",
        asks="which block and tau, where the loss does not saturate",
        space={"tau": RELATIVE_TAUS, "tau_units": "relative", "distance": (DISTANCE.usual,)},
    )


def _written(
    study: Study, file: str, aims: tuple[str, ...], trials: int, record: StudyRecord, spent: Cost
) -> NextStudy:
    each = _seconds_each(record, spent)
    return NextStudy(
        file=file,
        follows=record.study.name,
        study=study,
        aims=aims,
        trials=trials,
        seconds=None if each is None else trials * each,
    )


def _seconds_each(record: StudyRecord, spent: Cost) -> float | None:
    """Wall time per whole trial, overheads included; a stopped trial counts in proportion to its steps."""
    done = sum(
        max(rung.step for rung in trial.rungs) / trial.spec.cell.recipe(record.study.recipe).train.steps
        for trial in record.trials
        if trial.rungs
    )
    return spent.wall_s / done if done and spent.wall_s else None
