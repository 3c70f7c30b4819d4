"""A study's size and means in a line."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.guide.schema.results import StageResult
from sweeper.guide.wording.arms import size
from sweeper.guide.wording.cost_and_provenance import ORDER, finished
from sweeper.records import StudyRecord, TrialState
from sweeper.text.numbers import counted, duration, metric_name


def summary(record: StudyRecord, main: StageResult, states: dict[TrialState, int]) -> tuple[str, ...]:
    """Name the study's size and means in a line's worth of words."""
    evaluation = record.study.recipe.eval
    metric = metric_name(record.study.minimised.name(), evaluation.distance)
    extractor = next((one.facts for one in record.trials if one.facts), None)
    features = f"{extractor.extractor} {extractor.extractor_sha256[:8]}" if extractor else evaluation.extractor
    fresh = len({trial.spec.seed for trial in record.trials if trial.spec.stage == "confirm"})
    seeds = f"{len(main.seeds)} + {fresh} seeds" if fresh and main.stage == "screen" else counted(
        len(main.seeds), "seed"
    )  # fmt: skip
    return (
        size(len(main.cells), (result.cell for result in main.controls)),
        seeds,
        _trials(record, states),
        _cost(record, states),
        f"{metric}, {features} features, {evaluation.solver} {evaluation.nfe}",
    )


def _trials(record: StudyRecord, states: dict[TrialState, int]) -> str:
    ended, total = finished(states), counted(sum(states.values()), "trial")
    by_state = ", ".join(f"{count:,} {words}" for words, count in _ended(record, states)) or "none yet"
    return f"{total}: {by_state}" if ended == sum(states.values()) else f"{ended:,} of {total} ended ({by_state})"


def _ended(record: StudyRecord, states: dict[TrialState, int]) -> Iterator[tuple[str, int]]:
    """Count trials by state; those that the pruner ruled out before they began did not stop early."""
    unstarted = sum(
        trial.state == "pruned" and not trial.rungs for trial in {one.spec.key: one for one in record.trials}.values()
    )
    for state in ORDER:
        count = states.get(state, 0)
        if state == "pruned":
            yield from (
                (words, n) for words, n in (("stopped early", count - unstarted), ("not started", unstarted)) if n
            )
        elif count:
            yield state, count


def _cost(record: StudyRecord, states: dict[TrialState, int]) -> str:
    """How long the study took and on what; the time of a run is known when it ends."""
    resources, cores = record.study.resources, counted(record.provenance.cores, "core")
    used = (resources.slots or record.provenance.cores) * resources.cpus
    if used < record.provenance.cores:
        cores = f"{used} of {cores}"
    return f"running on {cores}" if states.get("running") else f"{duration(record.provenance.wall_s)} on {cores}"
