"""Workspaces for ledger tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.ledger.ledger_life import Home, NewHome


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
