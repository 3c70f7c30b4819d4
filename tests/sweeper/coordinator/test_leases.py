"""Slots as the desk keeps them: who is given work, who is turned away, and what happens when workers die."""

from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Desk
from sweeper.errors import SetupError, StaleAttemptError
from tests.sweeper.coordinator.desks import FACTS, open_desk, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here

RETRIES = {"cohort": 1, "retries": 2}


def desk_of(root: Path) -> Desk:
    return open_desk(root, study(resources=RETRIES))


def test_a_slot_is_given_one_cohort_after_another_until_nothing_is_left(tmp_path):
    desk = desk_of(tmp_path)
    life, keys = desk.enter(0), []
    while (given := desk.next(0, life)) is not None:
        keys += [trial.key for trial in given.trials]
        for step in given.rungs:
            desk.report(given.cohort, given.attempt, reported(given, 5.0, step), FACTS, last=step == given.rungs[-1])
    assert len(set(keys)) == len(keys) == 6
    assert desk.done()


def test_what_a_dead_worker_left_goes_to_the_next_one_in_its_slot(tmp_path):
    desk = desk_of(tmp_path)
    mine, other = desk.next(0, desk.enter(0)), desk.next(1, desk.enter(1))
    again = desk.next(0, desk.enter(0))
    assert mine
    assert other
    assert again
    assert mine.cohort != other.cohort
    assert (again.cohort, again.attempt) == (mine.cohort, 2)


def test_another_slot_takes_up_what_a_dead_worker_left_since_its_machine_may_never_come_back(tmp_path):
    desk = desk_of(tmp_path)
    mine, life = desk.next(0, desk.enter(0)), desk.enter(1)
    desk.died(0)
    taken = desk.next(1, life)
    assert mine
    assert taken
    assert (taken.cohort, taken.attempt) == (mine.cohort, 2)
    back = desk.next(0, desk.enter(0))
    assert back
    assert back.cohort != mine.cohort


def test_a_worker_that_was_replaced_gets_nothing_and_may_not_report(tmp_path):
    desk = desk_of(tmp_path)
    old = desk.enter(0)
    left = desk.next(0, old)
    desk.next(0, desk.enter(0))
    assert left
    with pytest.raises(StaleAttemptError):
        desk.next(0, old)
    with pytest.raises(StaleAttemptError):
        desk.report(left.cohort, left.attempt, reported(left, 1.0), FACTS, last=False)


def test_a_cohort_whose_workers_keep_dying_fails_after_its_retries_and_the_slot_goes_on(tmp_path):
    desk = desk_of(tmp_path)
    tried = []
    for _ in range(RETRIES["retries"] + 2):
        given = desk.next(0, desk.enter(0))
        assert given
        tried.append(given.cohort)
        desk.died(0)
    assert tried[:3] == [tried[0]] * 3
    assert tried[3] != tried[0]
    assert desk.progress().counts["failed"] == 1
    assert "ended 3 times" in (tmp_path / "study" / "failures.log").read_text()
    assert desk.halted() is None


def test_workers_that_die_before_they_ask_for_a_cohort_halt_the_study(tmp_path):
    desk = desk_of(tmp_path)
    desk.next(0, desk.enter(0))
    for _ in range(RETRIES["retries"] + 1):
        desk.died(0)
    assert desk.halted() is None
    desk.died(0)
    assert "ended before they could begin" in str(desk.halted())
    assert desk.done()
    assert "failed" not in desk.progress().counts


def test_a_halted_study_gives_a_slot_nothing_not_even_what_it_left(tmp_path):
    desk = desk_of(tmp_path)
    life = desk.enter(0)
    given = desk.next(0, life)
    assert given
    desk.halt(given.cohort, SetupError("OSError: disk full"), given.attempt)
    assert desk.next(0, life) is None
    assert desk.progress().counts["running"] == 1


def test_a_closed_desk_turns_slots_away(tmp_path):
    desk = desk_of(tmp_path)
    life = desk.enter(0)
    desk.close(interrupted=True, timeout=60)
    with pytest.raises(StaleAttemptError):
        desk.next(0, life)
    with pytest.raises(StaleAttemptError):
        desk.enter(1)
