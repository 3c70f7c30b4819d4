"""Reading a record that is not there, not whole or not ours: one line that says so, and nothing is created."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.errors import DataError, SetupError, StudyError
from sweeper.ledger.records_from_mlflow import counts, read_study
from tests.conftest import copy_database
from tests.integration.damage import damage
from tests.integration.ledger.ledger_life import (
    GRID,
    LIFE,
    PROVENANCE,
    STUDY,
    Home,
    trial,
)


def test_an_unknown_study_is_the_users_mistake(home: Home) -> None:
    with pytest.raises(StudyError, match="no_such_study") as caught:
        read_study(home.uri, "no_such_study")
    assert "sweeper run" in caught.value.remedy


def test_reading_where_nothing_was_recorded_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        counts(f"sqlite:///{tmp_path}/mlflow.db", STUDY.name)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_without_a_study_is_not_recorded_yet(home: Home) -> None:
    home.tracker()
    with pytest.raises(StudyError, match="not recorded yet"):
        read_study(home.uri, STUDY.name)


def test_a_record_changed_by_hand_is_refused(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    run_id = tracker._trial(trial(GRID), 0).run_id
    tracker._client.set_tag(run_id, "sweeper.rung.400", '{"step": "many"}')
    with pytest.raises(DataError, match="cannot be read"):
        read_study(home.uri, STUDY.name)


@pytest.mark.parametrize("tables", [(), ("metrics",), ("experiments", "alembic_version")], ids=str)
def test_reading_a_database_without_all_tables_creates_none(tmp_path: Path, tables: tuple[str, ...]) -> None:
    """A writer may be creating them at this moment."""
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for name in tables:
            connection.execute(f"CREATE TABLE {name} (x)")
    with pytest.raises(StudyError, match="nothing is recorded"):
        counts(f"sqlite:///{file}", STUDY.name)
    with closing(sqlite3.connect(file)) as connection:
        assert sorted(connection.execute("SELECT name FROM sqlite_master")) == sorted((name,) for name in tables)


def test_reading_a_file_that_is_no_database_says_so_at_once_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("this is no data base, but long enough to look at" * 50)
    began = time.monotonic()
    with pytest.raises(SetupError, match="not a database") as caught:
        counts(f"sqlite:///{file}", STUDY.name)
    assert time.monotonic() - began < 20
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("table", ["alembic_version", "experiments", "runs"])
def test_reading_a_damaged_database_says_so_in_one_line(home: Home, tmp_path: Path, table: str) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    damaged = tmp_path / "damaged.db"  # at its own path, since MLflow remembers the stores it has opened
    copy_database(Path(home.uri.removeprefix("sqlite:///")), damaged)
    damage(damaged, table)
    with pytest.raises(SetupError, match="malformed") as caught:
        counts(f"sqlite:///{damaged}", STUDY.name)
    assert "\n" not in caught.value.message
