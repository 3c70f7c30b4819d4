"""MLflow's database, where that is a SQLite file, prepared without MLflow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

PATIENCE_S = 20.0  # while another process writes


def use_write_ahead_log(database: Path) -> None:
    """Switch a SQLite database to WAL, so that readers and the writer do not block one another; the file keeps it."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
