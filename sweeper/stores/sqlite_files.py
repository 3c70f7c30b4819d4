"""Create SQLite databases atomically: tables are made in a temporary file, which is then moved into place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from filelock import FileLock

from sweeper.errors import SetupError, UnavailableError

BUSY_S = 20.0  # while another process writes
SIDE_FILES = ("-wal", "-shm", "-journal")


class Schema(NamedTuple):
    """How to recognise the database of a library.

    `tables` are the names it may ever have; `is_whole` says whether all its tables are there, `is_used` whether they
    hold any data. Both may raise sqlite3.OperationalError where a table is missing, which counts as no.
    """

    owner: str
    tables: frozenset[str]
    is_whole: Callable[[sqlite3.Connection], bool]
    is_used: Callable[[sqlite3.Connection], bool]


class UnsafeConnection(sqlite3.Connection):
    """A connection for a temporary database that need not survive a crash (MLflow's tables: .6 s instead of 6)."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.execute("PRAGMA synchronous=OFF")
        self.execute("PRAGMA journal_mode=MEMORY")


def ready(database: Path, schema: Schema) -> bool:
    """Whether a database can be used as it is; False if it is missing or incomplete, and so has to be made.

    A process killed while it makes tables leaves a database that its library can neither use nor complete. Raises
    SetupError for a file that holds something else, UnavailableError for one that is locked.
    """
    if not database.exists():
        return False
    with _inspected(database) as connection:
        if _says(schema.is_used, connection) or _says(schema.is_whole, connection):
            return True
        # Alembic's own, of a step that was cut short.
        strange = {name.removeprefix("_alembic_tmp_") for name in _tables(connection)} - schema.tables
    if strange:
        raise _refused(database, f"holds {', '.join(sorted(strange)[:3])}, which is not {schema.owner}'s")
    return False


def make_ready(database: Path, schema: Schema, make: Callable[[Path], None]) -> None:
    """Make sure that a database can be used; if need be `make` builds it in a file beside it, then moved into place.

    Raises SetupError as `ready` does, and for whatever `make` raises; the file is then as it was.
    """
    if ready(database, schema):
        return
    if not database.parent.is_dir():  # which FileLock would make
        raise SetupError(
            f"{database} cannot be created: its folder does not exist", "create the folder, or choose another"
        )
    try:
        with FileLock(f"{database}.lock"):
            if not ready(database, schema):  # else another process made it meanwhile
                _make(database, make)
    except SetupError:
        raise
    except Exception as error:  # of the disk, SQLite or the library: nothing can be kept in it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise SetupError(f"{database} cannot be created: {reason}", "choose another --workspace") from error


def _make(database: Path, make: Callable[[Path], None]) -> None:
    beside = database.with_name(f"{database.name}.making")
    _remove(beside)
    try:
        make(beside)
        with closing(sqlite3.connect(beside)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file that is moved
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        # SQLite would apply the log of a half-made database to the new one.
        for suffix in SIDE_FILES:
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        beside.replace(database)
    finally:
        _remove(beside)


def _remove(database: Path) -> None:
    for suffix in ("", *SIDE_FILES):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


@contextmanager
def _inspected(database: Path) -> Iterator[sqlite3.Connection]:
    # Writable, since opening it has to roll back the journal of a killed process.
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=BUSY_S)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UnavailableError(f"{database} does not answer: {error}", "run it again once it does") from error
        raise _refused(database, f"cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _refused(database, f"cannot be read: {error}") from error


def _says(question: Callable[[sqlite3.Connection], bool], connection: sqlite3.Connection) -> bool:
    try:
        return question(connection)
    except sqlite3.OperationalError as error:
        if "no such" in str(error):
            return False
        raise


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {name for (name,) in found}


def _refused(database: Path, why: str) -> SetupError:
    return SetupError(f"{database} {why}", "move it away or restore it from a copy, or choose another --workspace")
