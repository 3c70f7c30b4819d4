"""The sentence that opens a preliminary guide: how far its study is."""

from __future__ import annotations

from sweeper.guide.wording.cost_and_provenance import finished
from sweeper.records import StudyRecord, TrialState
from sweeper.text.numbers import counted


def preliminary(record: StudyRecord, states: dict[TrialState, int], decided: bool) -> str:
    """Return how far the study is; '' of one that is done. `decided`: whether its confirm stage has decided.

    Trials of the confirm stage, and of its next look, are not known before the trials before them have ended.
    """
    known = sum(states.values())
    if finished(states) == known and (record.study.confirm is None or decided):
        return ""
    confirming = any(trial.spec.stage == "confirm" for trial in record.trials)
    waits = record.study.confirm is not None and not confirming
    then = ", and the confirm stage has not begun" if waits else ""
    ended = f"{finished(states):,} of {counted(known, 'trial')} known so far ended"
    return f"Preliminary: {ended}{then}. The guide is written anew as the study goes on."
