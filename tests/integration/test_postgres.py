"""The search on a real PostgreSQL, which goes away for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.provenance import gather
from sweeper.search import state_counts
from tests.storm.servers import Postgres, postgres, postgres_is_missing
from tests.sweeper.coordinator.coordinators import FACTS, claimed, paths, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here

AWAY_S = 2.0

pytestmark = pytest.mark.skipif(bool(postgres_is_missing()), reason=postgres_is_missing())


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


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
