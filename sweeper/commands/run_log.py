"""What a run shows, kept in its study's folder: as it is now for `sweeper watch`, over time for `sweeper logs`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sweeper.commands.progress import Lines, Show, plain
from sweeper.records import Progress
from sweeper.text.passwords import masked
from sweeper.text.untrusted import inert
from trainer.runtime.files import write_whole

NOW, LOG = "progress.json", "run.log"
EVERY_S = 1.0
TIME, GAP = "%Y-%m-%d %H:%M:%S", "  "


class Line(NamedTuple):
    """A line of a log: when it was written, in UTC, and what it says. `at` is '' in a line that somebody changed."""

    at: str
    says: str

    def __str__(self) -> str:
        return f"{self.at}{GAP}{self.says}" if self.at else self.says


def lines_of(log: str) -> Iterator[Line]:
    """Read the lines of a log."""
    for line in log.splitlines():
        at, gap, says = line.partition(GAP)
        try:
            datetime.strptime(at, TIME)
        except ValueError:
            yield Line("", line)
        else:
            yield Line(at, says) if gap else Line("", line)


class RunLog:
    """A study's log, and its progress as it was last shown. A disk that is full loses lines, never a run."""

    def __init__(self, folder: Path) -> None:
        self._now, self._log = folder / NOW, folder / LOG
        self._keep_line, self._written = plain(self.note, Lines()), 0.0

    def note(self, text: str) -> None:
        """Add lines to the log, with the time."""
        at = datetime.now(UTC).strftime(TIME)
        with suppress(OSError), self._log.open("a", encoding="utf-8") as log:
            log.writelines(f"{Line(at, line)}\n" for line in inert(masked(text)).splitlines())

    def keep(self, progress: Progress) -> None:
        """Write down a study's progress."""
        self._keep_line(progress)
        if time.monotonic() - self._written >= EVERY_S:
            with suppress(OSError):
                write_whole(self._now, progress.model_dump_json(), durable=False)
            self._written = time.monotonic()

    def end(self) -> None:
        """Forget the progress: nobody runs the study any more."""
        with suppress(OSError):
            self._now.unlink(missing_ok=True)


@contextmanager
def run_log(folder: Path, command: str) -> Iterator[RunLog]:
    """Keep a log of one run of a study; whatever ends the run is its last line."""
    log = RunLog(folder)
    log.note(f"began: {command}")
    try:
        yield log
    except BaseException as error:
        log.note(f"ended: {getattr(error, 'message', None) or type(error).__name__}")
        raise
    finally:
        log.end()


def showing(log: RunLog, show: Show) -> Show:
    """Return a function that shows progress and keeps it."""

    def both(progress: Progress) -> None:
        log.keep(progress)
        show(progress)

    return both


def last_progress(folder: Path) -> Progress | None:
    """Return what a running study last showed; None where there is nothing to read."""
    try:
        return Progress.model_validate_json((folder / NOW).read_bytes())
    except (OSError, ValueError):
        return None
