"""The folder that holds a user's studies: paths, store addresses, and the lock of each study."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from sweeper.errors import ConflictError, SetupError, StudyError
from sweeper.study.registration import Registration
from trainer.runtime.files import write_whole

REGISTERED = "study.json"  # of a study's folder: whose it is
HOLDER = "holder"  # the file that names the process which holds a study
LOCK_WAIT_S = 1.0
LOCK_POLL_S = 0.02


class Workspace:
    """Paths and store addresses under one root; `tracking` and `store` move MLflow and Optuna elsewhere by URL."""

    def __init__(self, root: Path, tracking: str | None = None, store: str | None = None) -> None:
        self.root = _resolved(root)
        if tracking is not None:
            _check_url(tracking, "--tracking", "http://host:5000")
        if store is not None:
            _check_url(store, "--store", "postgresql://user@host:5432/database")
        if set("?#") & set(str(self.root)):
            raise SetupError(f"a workspace cannot have ? or # in its path: {self.root}", "choose another --workspace")
        self.tracking_uri = tracking or f"sqlite:///{self.root / 'mlflow.db'}"
        self.store_url = store or f"sqlite:///{self.root / 'optuna.db'}"
        # A server stores artifacts itself; a database, shared or not, cannot.
        self.artifacts = None if self.tracking_uri.startswith("http") else self.root / "artifacts"
        self.cache = self.root / "cache"
        self.seeds = self.root / "seeds.jsonl"
        # A server or database that others may use too.
        self.shares_tracking, self.shares_store = tracking is not None, store is not None

    def folder(self, study: str) -> Path:
        """Where one study keeps its lock, outbox and checkpoints."""
        return self.root / "studies" / study

    @contextmanager
    def lock(self, study: str) -> Iterator[None]:
        """Lock the study for this process, making its folder if missing; raise ConflictError if another holds the lock.

        It waits a moment for the lock, since a process that asks for the `runner` shares it briefly. The operating
        system releases the lock when the process ends, however it ends. If the study is still unregistered at the
        end, its folder is removed again.
        """
        lock = self._acquired(study)
        try:
            write_whole(self.folder(study) / HOLDER, str(os.getpid()), durable=False)
            yield
        finally:
            self._discard_unused(study)
            lock.release()

    def _acquired(self, study: str) -> FileLock:
        deadline = time.monotonic() + LOCK_WAIT_S
        path = self._lock(study)
        lock = FileLock(path)
        while True:
            self._prepare(study)  # each time: the process before may have removed the folder as it ended
            try:
                lock.acquire(timeout=0)
                return lock
            except Timeout:
                if time.monotonic() >= deadline:
                    raise ConflictError(
                        f"study {study!r} is being run by process {self._holder(study)}",
                        "wait for it, or stop it and run again",
                    ) from None
            except OSError as error:
                if not isinstance(error, FileNotFoundError) or time.monotonic() >= deadline:
                    raise SetupError(f"{path} cannot be locked: {error}", "choose another with --workspace") from error
            time.sleep(LOCK_POLL_S)

    def runner(self, study: str) -> str:
        """Return the process that holds the study in this workspace; '' where none does.

        Several processes may ask at once: they share the lock, which a runner holds exclusively.
        """
        try:
            with self._lock(study).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return ""
        except OSError:
            return self._holder(study)
        return ""

    def _lock(self, study: str) -> Path:
        return self.folder(study) / "lock"

    def _prepare(self, study: str) -> None:
        try:
            for folder in (self.folder(study), self.cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the workspace {self.root} cannot be written: {error.strerror}", "choose another with --workspace"
            ) from error

    def _holder(self, study: str) -> str:
        try:
            return (self.folder(study) / HOLDER).read_text(encoding="utf-8")[:20]
        except (OSError, ValueError):
            return "unknown"

    def _discard_unused(self, study: str) -> None:
        folder = self.folder(study)
        if {file.name for file in folder.iterdir()} <= {"lock", HOLDER}:
            shutil.rmtree(folder, ignore_errors=True)
            for empty in (folder.parent, self.cache, self.root):
                with suppress(OSError):
                    empty.rmdir()

    def registration(self, study: str) -> Registration | None:
        """Return a study's registration in this workspace; None if it has none.

        Raises ConflictError where that cannot be read.
        """
        path = self._registered(study)
        try:
            return Registration.parse(path.read_text(encoding="utf-8"), self.root)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConflictError(
                f"{path} was written by another version, or is damaged",
                "choose another --workspace, or remove the file: sweeper reads from the stores what the study was",
            ) from error

    def register(self, registration: Registration) -> None:
        """Write a study's registration."""
        write_whole(self._registered(registration.study.name), registration.model_dump_json(by_alias=True))

    def has_events(self, study: str) -> bool:
        """Whether anything was ever recorded of a study from here."""
        outbox = self.outbox(study)
        return outbox.is_file() and outbox.stat().st_size > 0

    def outbox(self, study: str) -> Path:
        """Where every event of a study is written first."""
        return self.folder(study) / "outbox.jsonl"

    def studies(self) -> list[str]:
        """Return the names of all studies that have a folder here, in order."""
        folder = self.root / "studies"
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def _registered(self, study: str) -> Path:
        return self.folder(study) / REGISTERED


def _resolved(root: Path) -> Path:
    try:
        return root.expanduser().resolve()
    except (RuntimeError, OSError) as error:  # RuntimeError: a link to itself, or the home of nobody
        raise SetupError(f"the workspace {root} is not a folder: {error}", "choose another with --workspace") from error


def _is_cut_short(url: str) -> bool:
    """Whether an @ follows where a parser ends the user and password: at another @, or at a sign of / ? #."""
    rest = url.partition("://")[2]
    before, at, _ = rest.rpartition("@")
    return bool(at) and any(sign in before for sign in "@/?#")


def _check_url(given: str, option: str, example: str) -> None:
    """Raise StudyError unless this is a URL with a scheme and, if it has a port, a numeric one.

    A password with a sign that ends it for a parser is refused without being repeated: parts of it would be taken for a
    host, and hosts are printed.
    """
    remedy = f"write it as {option} {example}"
    if _is_cut_short(given):
        raise StudyError(
            f"{option}: the user or password holds a sign that a URL gives another meaning",
            "write @ as %40, / as %2F, ? as %3F and # as %23 in it",
        )
    if given.startswith("postgres://"):
        raise StudyError(f"{option}: SQLAlchemy knows no postgres://", "write postgresql://")
    try:
        parts = urlsplit(given)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise StudyError(f"{option} {given}: {str(error)[:80]}", remedy) from None
    if not parts.scheme or "://" not in given or not port_is_number:
        raise StudyError(f"{option} {given}: not a URL", remedy)
