"""A search store that is locked, full or loses its connection: what was written is there once, and nobody is blamed."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import StaleAttemptError, UnavailableError
from sweeper.planning.trials import screen_trials
from sweeper.provenance import gather
from sweeper.search.parameters import Parameters
from sweeper.search.store import AUDITED, Entry, NewTrial, Store
from sweeper.stores.retry import Patience
from tests.sweeper.coordinator.coordinators import FACTS, claimed, open_coordinator, paths, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Write in a database meanwhile, as a backup or another program may."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def impatient(url: str) -> str:
    """Let SQLite itself wait no second for a lock."""
    return f"{url}?timeout=0.05"


def trials(seeds: int = 2) -> list[NewTrial]:
    of = study(screen={"seeds": seeds, "pruner": "none"})
    planned = screen_trials(of)
    knobs = Parameters(of, planned, {})
    return [NewTrial(trial, *knobs.of(trial)) for trial in planned]


def life(store: Store) -> Iterator[None]:
    """Write everything a study writes, call by call."""
    first, second, *_ = store.add(trials(), 0)
    yield
    yield store.start(first)
    yield store.start(second)
    yield store.observe(first, 4, 7.0)
    yield store.observe(first, 8, 5.0)
    yield store.finish(first, "complete", 5.0, "")
    yield store.mark(second, AUDITED)
    yield store.finish(second, "diverged", None, "diverged")


def found(store: Store) -> list[Entry]:
    return store.load()[0]


class Line:
    """A connection that is lost after the `number`-th commit of a call has had its effect, before its answer comes."""

    def __init__(self, store: Store, number: int) -> None:
        self._dialect, self._number = store._storage.engine.dialect, number
        self._commit, self._commits, self.losses = self._dialect.do_commit, 0, 0
        self._dialect.do_commit = self._then_lose  # type: ignore[method-assign]

    def next_call(self) -> None:
        self._commits = 0

    def mend(self) -> None:
        self._number = 0

    def _then_lose(self, connection: object) -> None:
        self._commit(connection)  # type: ignore[arg-type]
        self._commits += 1
        if self._commits == self._number:
            self.losses += 1
            raise sqlite3.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize(("number", "losses"), [(1, 8), (2, 1)])
def test_writes_whose_answer_was_lost_are_there_once(tmp_path, number, losses):
    calm, torn = (Store(f"sqlite:///{tmp_path}/{name}.db", "one", Patience(5)) for name in ("calm", "torn"))
    for store in (calm, torn):
        store.load()
    list(life(calm))
    line = Line(torn, number)
    for _ in life(torn):
        line.next_call()
    assert line.losses >= losses
    line.mend()
    assert found(torn) == found(calm)
    assert len(found(calm)) == len(trials())


def test_a_trial_that_ended_otherwise_is_not_taken_for_ours(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db", "one")
    store.load()
    entry = store.add(trials(), 0)[0]
    store.finish(entry, "complete", 5.0, "")
    with pytest.raises(RuntimeError):
        store.finish(entry, "failed", None, "")


def test_a_lock_is_waited_for_and_what_is_waited_for_is_said(tmp_path, url):
    patience = Patience()
    store = Store(impatient(url), "one", patience)
    store.load()
    with locked(tmp_path / "search.db"):
        writing = threading.Thread(target=store.add, args=(trials(), 0))
        writing.start()
        _until(lambda: bool(patience.waits_for()))
        assert "search.db" in patience.waits_for()
        assert "does not answer: database is locked; asked again" in patience.waits_for()
    writing.join()
    assert len(found(store)) == len(trials())


def test_a_full_disk_ends_the_waiting_and_a_cleared_one_is_written_again(url):
    store = Store(url, "one", Patience(0.2))
    store.load()
    pages = [1]

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(store._storage.engine, "checkout", limit)
    with pytest.raises(UnavailableError, match="database or disk is full"):
        store.add(trials(99), 0)
    pages[0] = 1_000_000
    assert len(store.add(trials(99), 0)) == len(found(store)) == len(trials(99))


def test_a_store_that_stays_silent_halts_the_study_and_blames_no_trial(tmp_path):
    where = paths(tmp_path)
    hurried = where.__class__(**{**vars(where), "store_url": impatient(where.store_url)})
    coordinator = Coordinator(study(), ["screen"], hurried, gather("sweeper run tiny.yaml"), patience_s=0.2)
    coordinator.open()
    assignment = claimed(coordinator)
    with locked(tmp_path / "optuna.db"):
        with pytest.raises(StaleAttemptError):
            coordinator.report(assignment.cohort, 1, reported(assignment, 5.0), FACTS, last=False)
        assert coordinator.next(0, coordinator.enter(0)) is None
    assert "database is locked" in str(coordinator.halted())
    assert coordinator.done()
    assert coordinator.progress().counts == {"running": 2, "waiting": 4}
    with pytest.raises(StaleAttemptError):
        coordinator.failed(assignment.cohort, "a word of a worker that was turned away", 1)
    coordinator.close(interrupted=False, timeout=60)

    again = open_coordinator(tmp_path, study())
    same = claimed(again)
    assert same.trials == assignment.trials
    assert again.report(same.cohort, 1, reported(same, 5.0), FACTS, last=False) == same.living


def test_what_goes_wrong_in_the_coordinator_is_no_fault_of_the_trial_that_met_it(tmp_path, monkeypatch):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    monkeypatch.setattr(coordinator._totals, "keep", lambda: {}["a mistake of ours"])
    with pytest.raises(StaleAttemptError):
        coordinator.report(assignment.cohort, 1, reported(assignment, 5.0), FACTS, last=False)
    assert str(coordinator.halted()) == "KeyError: 'a mistake of ours'"
    assert "Traceback" in (tmp_path / "study" / "failures.log").read_text()
    assert "failed" not in coordinator.progress().counts


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
