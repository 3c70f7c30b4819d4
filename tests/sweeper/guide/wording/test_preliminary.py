"""A guide of a study that is not done says so first."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.records import TrialState
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import typical


def unfinished(stage: str, state: TrialState, keep_confirm: bool = True) -> str:
    """Return what the guide says of the typical study, some trials of whose stage are in such a state."""
    record = typical()
    trials = [one for one in record.trials if keep_confirm or one.spec.stage != "confirm"]
    first = [one for one in trials if one.spec.stage == stage][:2]
    trials = [one.model_copy(update={"state": state}) if one in first else one for one in trials]
    guide = assemble_guide(record.model_copy(update={"trials": tuple(trials)}))
    assert f"> *{guide.preliminary}*\n>\n> **" in render_markdown(guide, {}) or not guide.preliminary
    return guide.preliminary


def test_a_study_that_is_done_has_no_such_line():
    assert assemble_guide(typical()).preliminary == ""
    assert unfinished("screen", "failed") == ""  # a failed trial has ended as well


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_trials_that_wait_or_run_are_said(state):
    known = len(typical().trials)
    ended = f"Preliminary: {known - 2} of {known} trials known so far ended."
    assert unfinished("confirm", state) == f"{ended} The guide is written anew as the study goes on."


def test_a_confirm_stage_that_has_not_begun_is_said():
    screen = sum(one.spec.stage == "screen" for one in typical().trials)
    assert unfinished("screen", "complete", keep_confirm=False).startswith(
        f"Preliminary: {screen} of {screen} trials known so far ended, and the confirm stage has not begun."
    )


def test_the_time_of_a_run_is_not_said_before_it_ends():
    record = typical()
    running = record.trials[0].model_copy(update={"state": "running"})
    assert "15 min on 2 cores" in assemble_guide(record).summary
    guide = assemble_guide(record.model_copy(update={"trials": (running, *record.trials[1:])}))
    assert "running on 2 cores" in guide.summary
