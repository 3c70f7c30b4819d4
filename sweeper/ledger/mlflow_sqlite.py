"""MLflow's database, where that is a SQLite file, prepared without MLflow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

PATIENCE_S = 20.0  # while another process writes


def use_write_ahead_log(database: Path) -> None:
    """Let readers and the writer of a SQLite database not wait for one another; the setting stays in the file."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
