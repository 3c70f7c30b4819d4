"""Resuming after a kill: which stored cohort each running trial goes on in; a worker then loads the cohort's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sweeper.coordinator.cohort_store import CohortFolder, StoredCohort
from sweeper.records import Stage, TrialSpec


class Resumed(NamedTuple):
    """A stage's stored cohorts, each with the running trials that it has, and the running trials that none has."""

    cohorts: tuple[tuple[StoredCohort, tuple[TrialSpec, ...]], ...]
    lost: tuple[TrialSpec, ...]


def resume(folder: CohortFolder, running: Sequence[TrialSpec], stage: Stage) -> Resumed:
    """Find the cohorts of a stage's `running` trials on disk; folders that name none of them are removed.

    A running trial always belongs to exactly one cohort: of the stored cohorts that name it, the one that begins
    latest, for lanes leave a cohort only at a later step than it began. After a crash all else follows from this.
    """
    trials = {trial.key: trial for trial in running}
    stored = folder.unfinished(trials.keys(), stage)
    cohort_of = {
        key: cohort for cohort in sorted(stored, key=lambda cohort: cohort.step) for key in cohort.keys if key in trials
    }
    return Resumed(
        tuple(
            (cohort, tuple(trial for trial in cohort.trials if cohort_of.get(trial.key) is cohort)) for cohort in stored
        ),
        tuple(trial for key, trial in trials.items() if key not in cohort_of),
    )
