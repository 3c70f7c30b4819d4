"""The states of trials and studies in MLflow. It has fewer than we do, so a tag holds ours."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.ledger.events import StudyEnd
from sweeper.records import TrialState

# A trial that waits has no run.
TRIAL_STATUS: Mapping[TrialState, str] = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "diverged": "KILLED",
    "failed": "FAILED",
}
STUDY_STATUS: Mapping[StudyEnd, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def trial_state(status: str, word: str | None) -> TrialState:
    """Return the state of a run with this status and this word in its tag.

    The status decides, since a user may set it in MLflow; the word decides between states of one status, of which the
    first holds where it says something else.
    """
    states = [state for state, theirs in TRIAL_STATUS.items() if theirs == status]
    return next((state for state in states if state == word), states[0])
