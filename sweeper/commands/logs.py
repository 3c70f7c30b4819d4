"""`sweeper logs`: what the runs of a study said, and the errors of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sweeper.commands.run_log import LOG, Line, lines_of
from sweeper.errors import StudyError
from sweeper.workspace import Workspace

FAILURES = "failures.log"


class Logs(NamedTuple):
    """A study's log, line by line, and the errors of its trials; None where the file is not there."""

    study: str
    lines: tuple[Line, ...] | None
    failures: str | None

    def describe(self) -> str:
        """Return what `logs` prints: the log and, below it, the errors."""
        log = None if self.lines is None else "\n".join(map(str, self.lines))
        texts = {LOG: log, FAILURES: self.failures}
        return "\n\n".join(f"== {name} of {self.study}\n{text}" for name, text in texts.items() if text is not None)


def logs(study_name: str, workspace: Workspace) -> Logs:
    """Read a study's log and the errors of its trials. Raises StudyError where there is neither."""
    folder = workspace.folder(study_name)
    log, failures = _text(folder / LOG), _text(folder / FAILURES)
    if log is None and failures is None:
        raise StudyError(f"study {study_name!r} has no log in {workspace.root}", "see `sweeper list`")
    return Logs(study_name, None if log is None else tuple(lines_of(log)), failures)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace").rstrip() if path.is_file() else None
