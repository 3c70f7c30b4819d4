"""Databases whose tables are created once a session, by the code under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.ledger import tracking
from sweeper.ledger.mlflow_process import prepare_environment
from tests.integration.ledger.ledger_life import Home, NewHome


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database created as a first run creates it."""
    prepare_environment()
    file = tmp_path_factory.mktemp("tables") / "mlflow.db"
    tracking.Tracker(f"sqlite:///{file}", None, "another_study")
    return file


@pytest.fixture
def new_home(tables: Path, tmp_path: Path) -> NewHome:
    made: list[Path] = []

    def make() -> Home:
        folder = tmp_path / f"home{len(made)}"
        folder.mkdir()
        made.append(folder)
        return Home.over(tables, folder)

    return make


@pytest.fixture
def home(new_home: NewHome) -> Home:
    return new_home()
