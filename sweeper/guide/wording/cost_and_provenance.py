"""A study's provenance and cost, as named facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, number
from sweeper.guide.schema.results import Cost, Item
from sweeper.records import FINAL_STATES, Facts, StudyRecord, TrialRecord, TrialState
from sweeper.study import Study
from sweeper.text.numbers import counted, figure

ORDER: tuple[TrialState, ...] = ("complete", "pruned", "diverged", "failed", "running", "waiting")


def cost(record: StudyRecord, evidence: Evidence) -> Cost:
    """Add up the study's cost; the remainder is known only if the number of slots is."""
    counts = Counter(trial.state for trial in {trial.spec.key: trial for trial in record.trials}.values())
    states = {state: counts[state] for state in ORDER}
    train_s, eval_s = (_total(evidence, metric) for metric in ("train_s", "eval_s"))
    slots, wall_s = _slots(record), record.provenance.wall_s
    other_s = number(slots * wall_s - train_s - eval_s) if slots else None
    return Cost(
        wall_s=wall_s,
        states={state: count for state, count in states.items() if count},
        train_s=train_s,
        eval_s=eval_s,
        slots=slots,
        # Until lanes had seconds of their own, those of a pruned one were counted with the others' as well.
        other_s=other_s if other_s is not None and other_s >= 0 else None,
    )


def _total(evidence: Evidence, metric: str) -> float:
    return number(sum(float(np.nansum(table.last(metric))) for table in evidence.stages.values())) or 0.0


def _slots(record: StudyRecord) -> int | None:
    resources = record.study.resources
    if resources.slots or resources.gpus:
        return resources.slots
    return max(1, record.provenance.cores // resources.cpus)


def provenance_items(record: StudyRecord, facts: Iterable[Facts]) -> tuple[Item, ...]:
    """Name where the figures come from."""
    source, known = record.provenance, list(facts)
    difference = source.torch_fidelity_difference
    return (
        Item(name="command", value=source.command),
        Item(name="commit", value=source.commit + (" (with uncommitted changes)" if source.dirty else "")),
        *((Item(name="project's commit", value=source.project_commit),) if source.project_commit else ()),
        Item(name="started", value=source.started),
        *((Item(name="added after it had begun", value="; ".join(record.added)),) if record.added else ()),
        *((Item(name="failed", value=_failures(record)),) if _failures(record) else ()),
        *((Item(name="weights not kept", value=_lost(record)),) if _lost(record) else ()),
        Item(name="machine", value=f"{counted(source.cores, 'core')}; {distinct(one.device for one in known)}"),
        Item(name="data hash", value=distinct(one.data_hash for one in known)),
        *((Item(name="started from", value=_init(record.study, known)),) if record.study.recipe.model.init else ()),
        Item(name="recipe hash", value=record.study.recipe.hash),
        Item(name="versions", value=", ".join(f"{name} {version}" for name, version in source.versions.items())),
        Item(
            name="against torch-fidelity",
            value="not checked" if difference is None else f"relative difference {figure(difference)}, same features",
        ),
    )


def _init(study: Study, facts: Iterable[Facts]) -> str:
    return f"{study.recipe.model.init}, SHA-256 {distinct(one.init_sha256 for one in facts if one.init_sha256)}"


def _failures(record: StudyRecord) -> str:
    """List which trials failed and why, each reason once."""
    return _reasons(trial for trial in record.trials if trial.state == "failed")


def _lost(record: StudyRecord) -> str:
    """List complete trials whose weights should have been kept and are not, and why."""
    return _reasons(trial for trial in record.trials if trial.state == "complete" and trial.note)


def _reasons(trials: Iterable[TrialRecord]) -> str:
    by_reason: dict[str, list[str]] = {}
    for trial in trials:
        by_reason.setdefault(trial.note, []).append(f"{trial.spec.cell.label}, seed {trial.spec.seed}")
    return "; ".join(f"{', and '.join(named)}: {reason}" for reason, named in by_reason.items())


def distinct(values: Iterable[str]) -> str:
    """List values once each."""
    return "; ".join(dict.fromkeys(values)) or "not recorded"


def finished(states: dict[TrialState, int]) -> int:
    """How many trials reached an end."""
    return sum(count for state, count in states.items() if state in FINAL_STATES)
