"""States in MLflow: each comes back as it went, and a status that a user set there decides."""

from __future__ import annotations

from typing import get_args

import pytest

from sweeper.ledger.events import StudyEnd
from sweeper.ledger.mlflow_states import STUDY_STATUS, TRIAL_STATUS, trial_state
from sweeper.records import TrialState


def test_every_state_has_a_status_but_that_of_trials_without_a_run() -> None:
    assert TRIAL_STATUS.keys() == {*get_args(TrialState)} - {"waiting"}
    assert STUDY_STATUS.keys() == {*get_args(StudyEnd)}


@pytest.mark.parametrize("state", TRIAL_STATUS)
def test_a_state_comes_back_as_it_went(state: TrialState) -> None:
    assert trial_state(TRIAL_STATUS[state], state) == state


@pytest.mark.parametrize(("status", "word", "state"), [("FAILED", "running", "failed"), ("KILLED", None, "pruned")])
def test_the_status_decides_where_the_word_says_something_else(status: str, word: str | None, state: str) -> None:
    assert trial_state(status, word) == state
