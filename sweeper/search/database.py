"""The database of an Optuna store: opening it, and telling transient errors from permanent ones."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, inspect
from sqlalchemy import exc as sql
from sqlalchemy.engine import make_url

from sweeper.errors import SetupError, UnavailableError
from sweeper.stores.sqlite_files import Schema, UnsafeConnection, make_ready, ready
from sweeper.text.verbosity import limit_library

# While another process writes. Short, since no progress is shown meanwhile; the coordinator retries anyway.
BUSY_S = 5
# Detect within seconds a server that vanished silently (libpq's own names; the last one is in milliseconds).
LIBPQ = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# Locked, full, restarting, out of connections. A damaged file or a missing column is a DatabaseError of another kind.
PASSING = (sql.OperationalError, sql.InterfaceError, sql.InternalError, sql.TimeoutError)


REMEDIES = {  # by words of libpq
    "password authentication failed": "check user and password in the URL",
    "Connection refused": "check host and port in the URL, and that the server runs",
    "does not exist": "make the database (createdb), or correct its name in the URL",
    "failed to resolve host": "check the host in the URL",
    "SSL negotiation": "check host and port: what listens there is no PostgreSQL",
}


class _WalConnection(sqlite3.Connection):
    """A SQLite connection that readers never block and whose commits do not wait for the disk (12 ms against 118)."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


class _ReadConnection(sqlite3.Connection):
    """A SQLite connection that cannot write."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.execute("PRAGMA query_only=ON")


def open_storage(url: str) -> RDBStorage:
    """Open a store to write in it, created where there is none; raise SetupError where that is not possible."""
    limit_library("optuna")
    _exists(url)  # another program's tables are refused before ours are made beside them
    with _opening(url):
        if (file := _file(url)) is not None:
            make_ready(file, _schema(), _make_tables)
        return RDBStorage(url, engine_kwargs=_engine(url, _WalConnection))


@contextlib.contextmanager
def reading(url: str) -> Iterator[RDBStorage | None]:
    """Open a store without writing; None where there is none."""
    limit_library("optuna")
    if not _exists(url):
        yield None
        return
    with _opening(url):
        storage = RDBStorage(
            url,
            engine_kwargs=_engine(url, _ReadConnection),
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
    try:
        yield storage
    finally:
        close(storage)


def close(storage: RDBStorage) -> None:
    """Let go of every connection."""
    storage.remove_session()
    storage.engine.dispose()


@contextlib.contextmanager
def readable(url: str) -> Iterator[None]:
    """Turn errors of reading into SetupError, or UnavailableError where they may be transient."""
    # ValueError and LookupError: rows that are no trials of ours or of this Optuna.
    try:
        yield
    except (sql.SQLAlchemyError, StorageInternalError, sqlite3.Error, ValueError, LookupError) as error:
        if _passes(error):
            raise _unavailable(url, error) from error
        raise SetupError(
            f"the search store {_shown(url)} cannot be read: {_reason(error)}",
            "restore it from a copy, or run the study in a new workspace",
        ) from error


@contextlib.contextmanager
def writable(url: str) -> Iterator[None]:
    """Turn errors of writing into SetupError, or UnavailableError where they may be transient."""
    try:
        yield
    except (sql.SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        if _passes(error):
            raise _unavailable(url, error) from error
        raise SetupError(
            f"the search store {_shown(url)} cannot be written: {_reason(error)}",
            "restore it from a copy, or run the study in a new workspace",
        ) from error


@contextlib.contextmanager
def _opening(url: str) -> Iterator[None]:
    try:
        yield
    except (sql.SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        kind = UnavailableError if _passes(error) else SetupError
        said = _reason(error)
        raise kind(f"the search store {_shown(url)} cannot be opened: {said}", _remedy(said)) from error


def _remedy(said: str) -> str:
    """Return what to do about a driver's words."""
    for words, remedy in REMEDIES.items():
        if words in said:
            return remedy
    return "give a SQLite path in a directory that exists, or the URL of a PostgreSQL data base with its driver"


def _passes(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return isinstance(cause, PASSING) or (isinstance(cause, sql.DBAPIError) and cause.connection_invalidated)


def _unavailable(url: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"the search store {_shown(url)} does not answer: {_reason(error)}", "run it again once it does"
    )


def _reason(error: BaseException) -> str:
    """Return the driver's own first words, without SQLAlchemy's and Optuna's."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    said = str(getattr(cause, "orig", None) or cause or error)
    return next(iter(said.splitlines()), type(error).__name__)


def _exists(url: str) -> bool:
    with _opening(url):
        if (file := _file(url)) is not None:
            return ready(file, _schema())
        engine = create_engine(url, **_engine(url, _ReadConnection))
        try:
            seen = inspect(engine)
            if seen.has_table("version_info"):
                return True
            if taken := _schema().tables & {*seen.get_table_names()}:
                raise SetupError(
                    f"the search store {_shown(url)} has another program's tables: {', '.join(sorted(taken))}",
                    "give a database of its own: createdb, then --store postgresql://user@host/its_name",
                )
            return False
        finally:
            engine.dispose()


def _file(url: str) -> Path | None:
    parsed = make_url(url)
    named = parsed.database if parsed.get_backend_name() == "sqlite" else None
    return Path(named) if named and named != ":memory:" and not named.startswith("file:") else None


def _schema() -> Schema:
    from optuna.storages._rdb.models import BaseModel

    return Schema(
        owner="Optuna",
        tables=frozenset({*BaseModel.metadata.tables, "alembic_version"}),
        is_whole=lambda has: _has_rows(has, "version_info") and _has_rows(has, "alembic_version"),
        is_used=lambda has: _has_rows(has, "studies"),
    )


def _has_rows(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def _make_tables(database: Path) -> None:
    close(RDBStorage(f"sqlite:///{database}", engine_kwargs=_engine("sqlite://", UnsafeConnection)))


def _engine(url: str, connection: type[sqlite3.Connection]) -> dict[str, Any]:
    """Return the options of an engine; those in the URL take precedence.

    `pool_pre_ping`: a server that was restarted must not fail the next call.
    """
    said = make_url(url).query
    if url.startswith("sqlite"):
        return {"connect_args": {"factory": connection, **({} if "timeout" in said else {"timeout": BUSY_S})}}
    libpq = LIBPQ if make_url(url).get_driver_name() in ("psycopg2", "psycopg") else {}
    return {"pool_pre_ping": True, "connect_args": {name: value for name, value in libpq.items() if name not in said}}


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
