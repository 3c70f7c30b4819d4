"""Preliminary guides: a process beside a running study rewrites the guide whenever enough trials have ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType

from sweeper.errors import SweeperError
from sweeper.records import FINAL_STATES, Progress
from sweeper.workspace import Workspace

SHARE = 1 / 3  # of the trials known so far
EVERY_S = 60.0  # a study shorter than this is done before anybody reads
NICE = 10
STOP_TIMEOUT_S = 5.0

# Spawned, not forked, since the driver has threads; and arguments of a spawned process, which may hold a store's
# password, appear in no process list.
_SPAWN = multiprocessing.get_context("spawn")


class PreliminaryGuide:
    """Decides when a guide is due, and starts one writer at a time."""

    def __init__(self, study_name: str, workspace: Workspace, reports: Path) -> None:
        self._given = (study_name, workspace, reports)
        self._guide = reports / study_name / "guide.md"
        self._last = time.monotonic()
        self._trials, self._share = 0, 0.0  # trials known, and the share that had ended, when a guide was last due
        self._writer: SpawnProcess | None = None
        self._written = False

    def seen(self, progress: Progress) -> Progress:
        """Start a writer if a guide is due; return the progress with a message where a guide is there."""
        if self._writer and not self._writer.is_alive():
            self._written, self._writer = self._written or not self._writer.exitcode, None
        if not self._writer and self._is_due(progress):
            self._last = time.monotonic()
            self._writer = self._started()
        if not self._written:
            return progress
        return progress.model_copy(update={"messages": (*progress.messages, f"preliminary guide: {self._guide}")})

    def stop(self) -> None:
        """End the writer, if one is running: the final guide replaces its work."""
        if self._writer and self._writer.is_alive():
            self._writer.terminate()
            self._writer.join(STOP_TIMEOUT_S)

    def _started(self) -> SpawnProcess:
        writer = _SPAWN.Process(target=_write, args=(*self._given, os.getpid()), daemon=True)
        # Ctrl-C reaches every process of a terminal. This one is ended by the driver: a blocked signal is inherited.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _program_hidden():
                writer.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return writer

    def _is_due(self, progress: Progress) -> bool:
        if time.monotonic() - self._last < EVERY_S:
            return False
        trials = sum(progress.counts.values())
        share = sum(progress.counts.get(state, 0) for state in FINAL_STATES) / max(1, trials)
        # A new stage or look has added trials: write a guide of the previous ones at once.
        if share < SHARE or (trials == self._trials and share - self._share < SHARE):
            return False
        self._trials, self._share = trials, share
        return True


@contextmanager
def preliminary_guide(study_name: str, workspace: Workspace, reports: Path) -> Iterator[PreliminaryGuide]:
    """Keep a guide of a running study; its writer is gone when this ends."""
    guide = PreliminaryGuide(study_name, workspace, reports)
    try:
        yield guide
    finally:
        guide.stop()


@contextmanager
def _program_hidden() -> Iterator[None]:
    """Keep a spawned process from running the program's own file again: a user's script would start its study again."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _write(study_name: str, workspace: Workspace, reports: Path, driver: int) -> None:
    """Write the guide of the record so far, quietly and at low priority."""
    from sweeper.commands.report import write

    os.nice(NICE)
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    if os.getppid() != driver:  # the driver is gone: the next one may be writing already
        return
    with suppress(SweeperError, OSError):  # what is wrong with it, the guide at the end will say
        write(study_name, workspace, reports, "markdown")
        return
    raise SystemExit(1)
