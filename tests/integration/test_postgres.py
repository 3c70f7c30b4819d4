"""The search on a real PostgreSQL, which goes away for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sweeper.commands.run import run
from sweeper.coordinator.coordinator import Coordinator
from sweeper.provenance import command_line, gather
from sweeper.search import state_counts
from sweeper.workspace import Workspace
from tests.storm.servers import Postgres, postgres, postgres_is_missing
from tests.sweeper.commands.simulated_runs import Placement, prepared
from tests.sweeper.coordinator.coordinators import FACTS, claimed, paths, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here

AWAY_S = 2.0

pytestmark = pytest.mark.skipif(bool(postgres_is_missing()), reason=postgres_is_missing())


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


def test_no_file_of_a_study_holds_the_password_of_its_store(server: Postgres, tmp_path, monkeypatch) -> None:
    placement = Placement()
    monkeypatch.setattr("sweeper.placement.study_run.run_study", placement)
    monkeypatch.chdir(tmp_path)
    url = server.url.replace("postgres@", "postgres:canary-of-the-store@")
    place = Workspace(prepared(tmp_path / "ws", tmp_path / "mlflow.db"), store=url)
    run(study(), place, tmp_path / "reports", lambda _: None, command_line(["run", "tiny.yaml", "--store", url]))
    assert placement.runs == 1
    assert "postgres:***@" in (tmp_path / "reports" / "tiny" / "record.json").read_text()
    written = [path for folder in ("ws", "reports") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if b"canary" in path.read_bytes()] == []


def test_a_study_goes_on_over_a_restart_of_its_store_and_no_trial_is_blamed(server: Postgres, tmp_path) -> None:
    of = study()
    where = paths(tmp_path)
    stored = where.__class__(**{**vars(where), "store_url": server.url})
    coordinator = Coordinator(of, ["screen"], stored, gather("sweeper run tiny.yaml"))
    coordinator.open()
    first = claimed(coordinator)
    assert coordinator.report(first.cohort, 1, reported(first, 5.0), FACTS, last=False) == first.living

    server.stop("fast")
    back = threading.Timer(AWAY_S, server.start)
    back.start()
    begun = time.monotonic()
    end = first.rungs[-1]
    assert coordinator.report(first.cohort, 1, reported(first, 4.0, end), FACTS, last=True) == frozenset()
    assert time.monotonic() - begun >= AWAY_S
    back.join()

    while (cohort := coordinator.claim()) is not None:
        assignment = coordinator.begin(cohort)
        assert assignment is not None
        for step in assignment.rungs:
            coordinator.report(cohort, 1, reported(assignment, 5.0, step), FACTS, last=step == assignment.rungs[-1])
    assert not coordinator.halted()
    coordinator.close(interrupted=False, timeout=60)
    assert state_counts(server.url, of.name) == {"screen": {"complete": 6}}
