"""Retrying failed trials.

Optuna cannot reopen a trial that has ended, so a new trial takes its place and names it in an attribute. Both are
written in one transaction, and every reader of the store leaves the old one out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.search.bulk_insert import insert_trials
from sweeper.search.database import readable, reading

SUPERSEDES = "supersedes"  # the attribute that holds the number of the trial whose place this one takes
OUTCOME = "outcome"
AT_STEP = " at step "  # in the name of an attribute that holds a rung's value of another metric than the rungs before


class Failure(NamedTuple):
    """A trial that failed, as people know it, and why."""

    label: str
    reason: str


def current(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Leave out the trials whose place another has taken."""
    superseded = {trial.user_attrs.get(SUPERSEDES) for trial in trials}
    return [trial for trial in trials if trial.number not in superseded]


def reopen_failed(storage: RDBStorage, study_id: int) -> None:
    """Let a waiting trial take the place of every failed one, in one transaction; a second call finds none."""
    known = current(storage.get_all_trials(study_id, deepcopy=False))
    insert_trials(storage, study_id, [_again(trial) for trial in known if trial.state == TrialState.FAIL])


def failures(url: str, study_name: str) -> tuple[Failure, ...]:
    """Return a study's failed trials in order of creation; () where there is no store.

    Raises SetupError where it cannot be read.
    """
    with reading(url) as storage:
        if storage is None:
            return ()
        with readable(url):
            return tuple(
                Failure(f"{trial.user_attrs.get('label')}, seed {trial.user_attrs.get('seed')}", _reason(trial))
                for study in storage.get_all_studies()
                if study.study_name.rpartition(".")[0] == study_name
                for trial in current(storage.get_all_trials(study._study_id, deepcopy=False))
                if trial.state == TrialState.FAIL
            )


def _again(trial: FrozenTrial) -> FrozenTrial:
    kept = {name: value for name, value in trial.user_attrs.items() if name != OUTCOME and AT_STEP not in name}
    return create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={**kept, SUPERSEDES: trial.number},
    )


def _reason(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(OUTCOME) or "see failures.log in the study's folder")
