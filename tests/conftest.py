"""What tests of several packages share."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

RAY = ("e2e/", "integration/test_ray")


def pytest_configure() -> None:
    """Give every process of a test one thread, before any of them imports torch.

    Two processes of two threads on two cores wait for one another at every barrier: tests of seconds take minutes.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that start Ray first: they take longest."""
    items.sort(key=lambda item: _group(item.nodeid) != "ray")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Keep the tests of a file in one process, which makes their fixtures once, and all that start Ray in one.

    Two Rays at once would be four workers on two cores. xdist 3.8's own groups do nothing under pytest 9.2, which does
    not look at the node id that xdist changes.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return "ray" if file.removeprefix("tests/").startswith(RAY) else file


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database whole: what was written last may still lie in its write-ahead log."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Take signals as a terminal gives them: tests that are started in the background inherit ignored ones."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Give floating-point numbers back as they are meant to be to what runs after a test that trained."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database created as a first run creates it, once a session: it takes seconds."""
    from sweeper.ledger.mlflow_process import prepare_mlflow

    prepare_mlflow()
    from sweeper.ledger import mlflow_writer as tracking

    file = tmp_path_factory.mktemp("tables") / "mlflow.db"
    tracking.Tracker(f"sqlite:///{file}", None, "another_study")
    return file


@pytest.fixture(scope="session")
def extractor_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the digits' extractor is kept once a test has trained it, which takes seconds."""
    return tmp_path_factory.mktemp("extractors")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a search keeps its trials."""
    return f"sqlite:///{tmp_path}/search.db"
