"""Both stores' databases: whole or not there, made anew where a process died while it made them, never deleted."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.errors import SetupError, StaleAttemptError, UnavailableError
from sweeper.ledger import counts
from sweeper.ledger.mlflow_writer import Tracker
from sweeper.search import state_counts
from sweeper.search.store import Store
from tests.conftest import copy_database
from tests.sweeper.coordinator.coordinators import FACTS, claimed, open_coordinator, ready, reported, study

__all__ = ["ready"]  # a fixture, used by being here

TEXT = "this is no data base, but long enough to look at" * 50


def execute(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def open_optuna(database: Path) -> Store:
    return Store(f"sqlite:///{database}", "one.screen")


def open_mlflow(database: Path) -> Tracker:
    return Tracker(f"sqlite:///{database}", None, "one")


OPENERS = [open_optuna, open_mlflow]


@pytest.mark.parametrize("opens", OPENERS)
def test_a_database_is_made_whole_with_nothing_beside_it(tmp_path, opens):
    (tmp_path / "made").mkdir()
    opens(tmp_path / "made" / "store.db")
    beside = {file.name for file in (tmp_path / "made").iterdir()}
    assert beside <= {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}


@pytest.mark.parametrize(
    ("opens", "cut_short"),
    [
        (open_optuna, ["PRAGMA journal_mode=WAL"]),
        (open_optuna, ["CREATE TABLE studies (study_id)"]),
        (open_mlflow, ["PRAGMA journal_mode=WAL"]),
        (open_mlflow, ["CREATE TABLE runs (run_uuid)", "CREATE TABLE _alembic_tmp_runs (run_uuid)"]),
    ],
)
def test_a_database_that_was_half_made_is_made_anew(tmp_path, opens, cut_short):
    execute(tmp_path / "store.db", *cut_short)
    (tmp_path / "store.db.making").write_text("what a killed process left")
    opens(tmp_path / "store.db")
    assert not (tmp_path / "store.db.making").exists()
    opens(tmp_path / "store.db")


def test_a_store_that_was_half_made_counts_as_none_until_it_is_made(tmp_path):
    execute(tmp_path / "store.db", "CREATE TABLE version_info (version_info_id)", "CREATE TABLE trials (x)")
    assert state_counts(f"sqlite:///{tmp_path}/store.db", "one") == {}


@pytest.mark.parametrize("opens", OPENERS)
@pytest.mark.parametrize("holds", ["text", "table", "folder"])
def test_a_file_that_holds_something_else_is_refused_and_left_as_it_is(tmp_path, opens, holds):
    file = tmp_path / "store.db"
    match holds:
        case "text":
            file.write_text(TEXT)
        case "table":
            execute(file, "CREATE TABLE recipes_of_my_grandmother (x)")
        case "folder":
            file.mkdir()
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(SetupError, match=r"store\.db (cannot be read|cannot be opened|holds)") as refused:
        opens(file)
    assert "move it away" in refused.value.remedy
    assert not isinstance(refused.value, UnavailableError)
    assert before is None or file.read_bytes() == before


def test_a_used_database_of_another_mlflow_is_refused_with_the_way_to_upgrade_it(tmp_path, tables):
    file = tmp_path / "another.db"
    copy_database(tables, file)
    execute(file, "UPDATE alembic_version SET version_num = 'cc1f77228345'")
    with pytest.raises(SetupError, match="another version of MLflow") as refused:
        open_mlflow(file)
    assert "mlflow db upgrade" in refused.value.remedy


def test_what_cannot_be_recorded_is_not_trained(tmp_path):
    (tmp_path / "mlflow.db").write_text(TEXT)
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.started(assignment.cohort, 1, FACTS)
    deadline = time.monotonic() + 30
    while not coordinator.halted() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "mlflow.db cannot be read" in str(coordinator.halted())
    with pytest.raises(StaleAttemptError):
        coordinator.report(assignment.cohort, 1, reported(assignment, 5.0), FACTS, last=False)
    began = time.monotonic()
    assert not coordinator.close(interrupted=False, timeout=60)
    assert time.monotonic() - began < 10
    (tmp_path / "mlflow.db").unlink()
    again = open_coordinator(tmp_path, study())
    assert claimed(again).trials == assignment.trials
    assert again.close(interrupted=True, timeout=60)
    assert counts(f"sqlite:///{tmp_path}/mlflow.db", "tiny") == {"running": 2}
