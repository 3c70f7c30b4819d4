"""MLflow may be down, slow, failing, emptied or choosy: training goes on and nothing is lost."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mlflow import MlflowClient

from sweeper.errors import SetupError
from sweeper.ledger import events
from sweeper.ledger import mlflow_runs as reader
from sweeper.ledger import writer as ledger_module
from sweeper.ledger.records_from_mlflow import read_study
from sweeper.ledger.writer import Ledger
from sweeper.records import Rung
from tests.integration.ledger.ledger_life import (
    BASELINE,
    FACTS,
    GRID,
    PROVENANCE,
    STUDY,
    Home,
    NewHome,
    closed_port,
    rung,
    trial,
)


def test_an_event_mlflow_refuses_is_set_aside_and_the_rest_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "FIRST_PAUSE_S", 0.01)
    poison = Rung(step=400, metrics={"no*such|name": 1.0})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(BASELINE), poison, FACTS)
        ledger._outbox.append("this is no event")
        ledger.artifact(home.outbox.parent / "missing.md")
        ledger.rung(trial(BASELINE), rung(800), FACTS)
        assert ledger.flush(60), ledger.trouble
        assert (ledger.rejected, ledger.trouble) == (3, None)
    first, second, third = home.rejected()
    assert "no*such|name" in first["reason"]
    assert events.from_line(first["line"].encode()) == events.RungReached(
        at_ms=1_700_000_002_000, spec=trial(BASELINE), rung=poison, facts=FACTS
    )
    assert second["line"] == "this is no event"
    assert "missing.md" in third["reason"]
    assert [r.step for r in read_study(home.uri, STUDY.name).trials[0].rungs] == [800]


def test_a_run_deleted_by_hand_is_made_anew(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(GRID), attempt=1)
        assert ledger.flush(30), ledger.trouble
        row = reader.Reader(home.uri, STUDY.name).find(trial(GRID).key)
        assert row is not None
        MlflowClient(tracking_uri=home.uri).delete_run(row.run_id)
        ledger.rung(trial(GRID), rung(800), FACTS)
        assert ledger.flush(30), ledger.trouble
        assert ledger.rejected == 0
    assert read_study(home.uri, STUDY.name).trials[0].rungs == (rung(800),)


def test_a_deleted_experiment_is_restored(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    assert read_study(home.uri, STUDY.name).study == STUDY


def test_a_store_without_the_study_gets_everything_again(home: Home, new_home: NewHome) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), rung(400), FACTS)
        assert ledger.flush(30), ledger.trouble
    moved = new_home()
    with home.ledger(moved.uri) as ledger:
        ledger.trial_finished(trial(GRID), "complete")
        assert ledger.flush(30), ledger.trouble
    (read,) = read_study(moved.uri, STUDY.name).trials
    assert (read.state, read.rungs) == ("complete", (rung(400),))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def failing_server() -> Iterator[str]:
    """A server that answers everything with an internal error."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["closed", "silent", "failing"])
def broken_uri(request: pytest.FixtureRequest) -> str:
    if request.param == "closed":
        return f"http://127.0.0.1:{closed_port()}"
    return str(request.getfixturevalue(f"{request.param}_server"))


def test_a_broken_server_neither_blocks_nor_loses_anything(home: Home, broken_uri: str) -> None:
    ledger = home.ledger(broken_uri)
    slowest = 0.0
    for event in (lambda: ledger.study_opened(STUDY, PROVENANCE), *[_report(ledger, seed) for seed in range(50)]):
        began = time.monotonic()
        event()
        slowest = max(slowest, time.monotonic() - began)
    assert not ledger.flush(1.0)
    began = time.monotonic()
    assert not ledger.close(timeout=0.5)
    assert time.monotonic() - began < 10
    assert slowest < 1.0
    assert home.rejected() == []
    with home.ledger() as later:
        assert later.flush(60), later.trouble
    assert len(read_study(home.uri, STUDY.name).trials) == 50


def _report(ledger: Ledger, seed: int) -> Callable[[], None]:
    return lambda: ledger.trial_started(trial(GRID, seed), attempt=1)


def test_an_event_that_failed_while_the_store_was_full_is_not_poison(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that may not grow refuses every write; nothing is set aside, and all goes out once it may."""
    monkeypatch.setattr(ledger_module, "FIRST_PAUSE_S", 0.001)
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
        blocker = sqlite3.connect(home.uri.removeprefix("sqlite:///"), isolation_level=None)
        blocker.execute("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END")
        blocker.execute(
            "CREATE TRIGGER full2 BEFORE UPDATE ON experiment_tags BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        blocker.execute(
            "CREATE TRIGGER full3 BEFORE INSERT ON experiment_tags BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        ledger.trial_started(trial(GRID), attempt=1)
        assert not ledger.flush(1.5)
        assert "no room" in (ledger.trouble or "")
        for name in ("full", "full2", "full3"):
            blocker.execute(f"DROP TRIGGER {name}")
        blocker.close()
        assert ledger.flush(30), ledger.trouble
        assert ledger.rejected == 0
    assert [told.spec for told in read_study(home.uri, STUDY.name).trials] == [trial(GRID)]


def test_trouble_tells_why_nothing_is_delivered(home: Home) -> None:
    ledger = home.ledger(f"http://127.0.0.1:{closed_port()}")
    ledger.study_opened(STUDY, PROVENANCE)
    deadline = time.monotonic() + 30
    while ledger.trouble is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "refused" in (ledger.trouble or "")
    assert not ledger.close(timeout=0)


def test_reading_from_a_server_that_is_down_says_so_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(SetupError, match="does not answer"):
        read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name)
    assert time.monotonic() - began < 20
