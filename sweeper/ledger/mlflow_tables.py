"""MLflow's tables in a SQLite file: checking that they are complete, and creating them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mlflow.store.db import utils as db  # with it, the list of tables holds those of every part of MLflow
from mlflow.store.db.base_sql_model import Base
from sqlalchemy import create_engine

from sweeper.stores.sqlite_files import Schema, UnsafeConnection, make_ready, ready

SQLITE = "sqlite:///"


def has_tables(uri: str) -> bool:
    """Whether MLflow finds its tables at a database's URL, or must look for itself; raises as `sqlite_files.ready`."""
    return not uri.startswith(SQLITE) or ready(Path(uri.removeprefix(SQLITE)), _schema())


def make_tables(database: Path) -> None:
    """Make sure that a file has all of MLflow's tables; raises as `sqlite_files.make_ready`."""
    make_ready(database, _schema(), _make)


def _schema() -> Schema:
    """Describe MLflow's tables. One that is used is left to MLflow, whatever its version."""
    head: str = db._get_latest_schema_revision()  # type: ignore[no-untyped-call]

    def is_whole(connection: sqlite3.Connection) -> bool:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(head,)]

    def is_used(connection: sqlite3.Connection) -> bool:
        # MLflow itself makes the experiment 0.
        used = "SELECT 1 FROM experiments WHERE experiment_id != 0 UNION SELECT 1 FROM runs"
        return connection.execute(used).fetchone() is not None

    return Schema("MLflow", frozenset({*Base.metadata.tables, "alembic_version"}), is_whole, is_used)


def _make(database: Path) -> None:
    # MLflow 3.17 creates them in any empty database it opens, one transaction per migration.
    engine = create_engine(f"sqlite:///{database}", connect_args={"factory": UnsafeConnection})
    try:
        db._initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
