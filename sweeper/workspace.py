"""The folder a user's studies live in: where each thing lies, and who may write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sweeper.errors import ConflictError, SetupError
from sweeper.files import write_whole
from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields


class Workspace:
    """Paths and store addresses under one root; `tracking` and `store` move MLflow and Optuna elsewhere by URL."""

    def __init__(self, root: Path, tracking: str | None = None, store: str | None = None) -> None:
        self.root = root.expanduser().resolve()
        if set("?#") & set(str(self.root)):
            raise SetupError(f"a workspace cannot have ? or # in its path: {self.root}", "choose another --workspace")
        self.tracking_uri = tracking or f"sqlite:///{self.root / 'mlflow.db'}"
        self.store_url = store or f"sqlite:///{self.root / 'optuna.db'}"
        self.artifacts = None if tracking else self.root / "artifacts"
        self.cache = self.root / "cache"

    def folder(self, study: str) -> Path:
        """Where one study keeps its lock, outbox and checkpoints."""
        return self.root / "studies" / study

    def prepare(self, study: str) -> None:
        """Create the folders; raise SetupError where that is not possible."""
        try:
            for folder in (self.folder(study), self.cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the workspace {self.root} cannot be written: {error.strerror}", "choose another with --workspace"
            ) from error

    @contextmanager
    def lock(self, study: str) -> Iterator[None]:
        """Hold the study for this process; raise ConflictError if another one has it.

        The operating system releases the lock when the process ends, however it ends.
        """
        path = self.folder(study) / "lock"
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = self.folder(study) / "holder"
            process = holder.read_text() if holder.exists() else "unknown"
            raise ConflictError(
                f"study {study!r} is being run by process {process}", "wait for it, or stop it and run again"
            ) from None
        except OSError as error:
            raise SetupError(f"{path} cannot be locked: {error}", "choose another with --workspace") from error
        try:
            write_whole(self.folder(study) / "holder", str(os.getpid()), durable=False)
            yield
        finally:
            lock.release()

    def remember(self, study: Study) -> None:
        """Note what this study is; raise ConflictError if the workspace holds another one of its name."""
        path = self.folder(study.name) / "study.json"
        if path.exists():
            try:
                before = Study.model_validate_json(path.read_text())
            except ValueError as error:
                raise ConflictError(
                    f"{path} was written by another version, or is damaged", "use another --workspace, or remove it"
                ) from error
            changed = changed_fields(before, study, confirming=self._confirming(study.name))
            if changed:
                listed = "\n".join(f"  {change}" for change in changed)
                raise ConflictError(
                    f"study {study.name!r} was started with other settings:\n{listed}",
                    "give the changed study another name, or run it in another --workspace",
                )
        part = path.with_suffix(".part")
        part.write_text(study.model_dump_json(by_alias=True))
        part.replace(path)

    def _confirming(self, study: str) -> bool:
        from sweeper.search import state_counts

        return "confirm" in state_counts(self.store_url, study)
