"""Slots as the coordinator keeps them: who is given work, who is turned away, and what happens when workers die."""

from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import SetupError, StaleAttemptError
from tests.sweeper.coordinator.coordinators import FACTS, open_coordinator, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here

RETRIES = {"cohort": 1, "retries": 2}


def coordinator_of(root: Path) -> Coordinator:
    return open_coordinator(root, study(resources=RETRIES))


def test_a_slot_is_given_one_cohort_after_another_until_nothing_is_left(tmp_path):
    coordinator = coordinator_of(tmp_path)
    life, keys = coordinator.enter(0), []
    while (given := coordinator.next(0, life)) is not None:
        keys += [trial.key for trial in given.trials]
        for step in given.rungs:
            coordinator.report(
                given.cohort, given.attempt, reported(given, 5.0, step), FACTS, last=step == given.rungs[-1]
            )
    assert len(set(keys)) == len(keys) == 6
    assert coordinator.done()


def test_what_a_dead_worker_left_goes_to_the_next_one_in_its_slot(tmp_path):
    coordinator = coordinator_of(tmp_path)
    mine, other = coordinator.next(0, coordinator.enter(0)), coordinator.next(1, coordinator.enter(1))
    again = coordinator.next(0, coordinator.enter(0))
    assert mine
    assert other
    assert again
    assert mine.cohort != other.cohort
    assert (again.cohort, again.attempt) == (mine.cohort, 2)


def test_another_slot_takes_up_what_a_dead_worker_left_since_its_machine_may_never_come_back(tmp_path):
    coordinator = coordinator_of(tmp_path)
    mine, life = coordinator.next(0, coordinator.enter(0)), coordinator.enter(1)
    coordinator.died(0)
    taken = coordinator.next(1, life)
    assert mine
    assert taken
    assert (taken.cohort, taken.attempt) == (mine.cohort, 2)
    back = coordinator.next(0, coordinator.enter(0))
    assert back
    assert back.cohort != mine.cohort


def test_a_worker_that_was_replaced_gets_nothing_and_may_not_report(tmp_path):
    coordinator = coordinator_of(tmp_path)
    old = coordinator.enter(0)
    left = coordinator.next(0, old)
    coordinator.next(0, coordinator.enter(0))
    assert left
    with pytest.raises(StaleAttemptError):
        coordinator.next(0, old)
    with pytest.raises(StaleAttemptError):
        coordinator.report(left.cohort, left.attempt, reported(left, 1.0), FACTS, last=False)


def test_a_cohort_whose_workers_keep_dying_fails_after_its_retries_and_the_slot_goes_on(tmp_path):
    coordinator = coordinator_of(tmp_path)
    tried = []
    for _ in range(RETRIES["retries"] + 2):
        given = coordinator.next(0, coordinator.enter(0))
        assert given
        tried.append(given.cohort)
        coordinator.died(0)
    assert tried[:3] == [tried[0]] * 3
    assert tried[3] != tried[0]
    assert coordinator.progress().counts["failed"] == 1
    assert "ended 3 times" in (tmp_path / "study" / "failures.log").read_text()
    assert coordinator.halted() is None


def test_workers_that_die_before_they_ask_for_a_cohort_halt_the_study(tmp_path):
    coordinator = coordinator_of(tmp_path)
    coordinator.next(0, coordinator.enter(0))
    for _ in range(RETRIES["retries"] + 1):
        coordinator.died(0)
    assert coordinator.halted() is None
    coordinator.died(0)
    assert "ended before they could begin" in str(coordinator.halted())
    assert coordinator.done()
    assert "failed" not in coordinator.progress().counts


def test_a_halted_study_gives_a_slot_nothing_not_even_what_it_left(tmp_path):
    coordinator = coordinator_of(tmp_path)
    life = coordinator.enter(0)
    given = coordinator.next(0, life)
    assert given
    coordinator.halt(given.cohort, SetupError("OSError: disk full"), given.attempt)
    assert coordinator.next(0, life) is None
    assert coordinator.progress().counts["running"] == 1


def test_a_closed_coordinator_turns_slots_away(tmp_path):
    coordinator = coordinator_of(tmp_path)
    life = coordinator.enter(0)
    coordinator.close(interrupted=True, timeout=60)
    with pytest.raises(StaleAttemptError):
        coordinator.next(0, life)
    with pytest.raises(StaleAttemptError):
        coordinator.enter(1)
