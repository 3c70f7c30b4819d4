"""One driver at a time runs a study, whatever workspace and machine it runs in."""

from __future__ import annotations

import pytest

from sweeper.errors import ConflictError, UnavailableError
from sweeper.search.driver_lease import LASTS_S, NAME, RENEW_EVERY_S, Lease
from tests.sweeper.coordinator.test_finalists import Notes


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(notes: Notes, clock: Clock, host: str, folder: str = "/ws") -> Lease:
    return Lease(notes, host, folder, clock)  # type: ignore[arg-type]


def test_another_machine_waits_until_the_driver_ends_or_its_lease_runs_out(clock):
    notes = Notes()
    first, second = lease(notes, clock, "a"), lease(notes, clock, "b")
    first.acquire()
    with pytest.raises(ConflictError, match="being run on a in /ws") as told:
        second.acquire()
    assert f"in {LASTS_S:.0f} s" in told.value.remedy
    clock.now += LASTS_S - 1
    first.renew()
    clock.now += LASTS_S - 1
    with pytest.raises(ConflictError):
        second.acquire()
    first.release()
    second.acquire()


def test_a_driver_that_died_is_followed_at_once_in_its_workspace_and_later_elsewhere(clock):
    notes = Notes()
    lease(notes, clock, "a").acquire()
    lease(notes, clock, "a").acquire()
    clock.now += LASTS_S
    lease(notes, clock, "b").acquire()


def test_a_driver_whose_lease_was_taken_stops_and_does_not_give_it_back(clock):
    notes = Notes()
    first, second = lease(notes, clock, "a"), lease(notes, clock, "b")
    first.acquire()
    clock.now += LASTS_S
    second.acquire()
    with pytest.raises(ConflictError, match="now run on b"):
        first.renew()
    first.release()
    assert '"host":"b"' in notes.kept[NAME]


def test_renewing_is_seldom_and_a_store_that_is_away_is_no_conflict(clock):
    class Away(Notes):
        def read(self, name: str) -> str | None:
            raise UnavailableError(f"{name} is away")

    notes = Notes()
    first = lease(notes, clock, "a")
    first.acquire()
    before = notes.kept[NAME]
    clock.now += RENEW_EVERY_S - 1
    first.renew()
    assert notes.kept[NAME] == before
    first._notes = Away()  # type: ignore[assignment]
    clock.now += RENEW_EVERY_S
    first.renew()
    first.release()


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000])
def test_a_lease_that_cannot_be_read_is_taken_over(clock, content):
    notes = Notes()
    notes.write(NAME, content)
    lease(notes, clock, "a").acquire()
