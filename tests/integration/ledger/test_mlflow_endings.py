"""How trials and studies end in MLflow: once, durably, and open again only where they are started again."""

from __future__ import annotations

import os

import pytest

from sweeper.errors import ConflictError
from sweeper.ledger.records_from_mlflow import counts, read_study
from sweeper.ledger.writer import Ledger
from tests.integration.ledger.ledger_life import (
    FACTS,
    GRID,
    PROVENANCE,
    STUDY,
    Home,
    rung,
    snapshot,
    trial,
)


def test_a_state_is_final_until_the_trial_is_started_again(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_finished(trial(GRID), "failed", "worker died")
        ledger.trial_started(trial(GRID), attempt=2)
        assert ledger.flush(30), ledger.trouble
    assert counts(home.uri, STUDY.name) == {"running": 1}


def test_an_end_told_again_keeps_its_first_time_and_another_end_does_not(home: Home) -> None:
    for state in ("pruned", "pruned", "failed"):
        with home.ledger() as ledger:
            ledger.study_opened(STUDY, PROVENANCE)
            ledger.trial_finished(trial(GRID, 1), state, "never started")
            assert ledger.flush(30), ledger.trouble
        if state == "pruned":
            assert snapshot(home)[trial(GRID, 1).key][0][1:] == ("KILLED", 1_700_000_002_000, 1_700_000_002_000)
    assert snapshot(home)[trial(GRID, 1).key][0][1:] == ("FAILED", 1_700_000_002_000, 1_700_000_006_000)


def test_a_study_has_one_ledger_at_a_time(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        told = home.outbox.read_bytes()
        with pytest.raises(ConflictError, match="still being written"):
            Ledger(home.uri, home.artifacts, home.outbox, home.experiment, home.clock, wait_s=0.1)
        assert home.outbox.read_bytes() == told
    with home.ledger() as ledger:
        assert ledger.flush(30), ledger.trouble


def test_what_ends_a_trial_or_a_study_survives_a_loss_of_power(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (sync(file), synced.append(file)))
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(GRID), attempt=1)
        ledger.rung(trial(GRID), rung(400), FACTS)
        assert len(synced) == 0
        ledger.trial_finished(trial(GRID), "complete")
        assert len(synced) == 1
        ledger.interrupted(PROVENANCE)
        assert len(synced) == 2
        ledger.study_finished(PROVENANCE)
        assert len(synced) == 3
        assert ledger.flush(30), ledger.trouble


def test_the_first_report_of_a_step_counts(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), rung(400, 20.0), FACTS)
        ledger.rung(trial(GRID), rung(400, 99.0), FACTS)
        assert ledger.flush(30), ledger.trouble
    assert read_study(home.uri, STUDY.name).trials[0].rungs == (rung(400, 20.0),)
    assert [value for value, _, _ in snapshot(home)[trial(GRID).key][3]["fid_10k"]] == [20.0]
