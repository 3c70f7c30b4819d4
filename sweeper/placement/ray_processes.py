"""Watching Ray's own processes on this machine.

Ray 2.60 takes a minute to notice that its gcs_server died, and then ends the driver with exit code 1 and a line of its
own; a raylet that dies while Ray starts causes a traceback after 30 s.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from sweeper.errors import CONTINUES, SetupError
from sweeper.placement.interrupts import Interrupts

VITAL = ("gcs_server", "raylet")
POLL_S = 0.5
GRACE_S = 5.0  # for the driver to leave by itself


class RayProcesses:
    """Ends the run within seconds once one of Ray's processes has died, and then removes the rest of Ray."""

    def __init__(self, interrupts: Interrupts, scratch: str) -> None:
        """`scratch` is Ray's folder."""
        self._interrupts, self._scratch = interrupts, scratch
        self._stopped, self._cleared = threading.Event(), threading.Event()
        self._others = {pid for pid, _, _ in _descendants(os.getpid())}
        self._seen: set[int] = set()

    def start(self) -> None:
        """Begin to watch the children that this process has from now on."""
        threading.Thread(target=self._await_death, name="vitals", daemon=True).start()

    def stop(self) -> None:
        """Stop watching, since Ray's processes may end from now on."""
        self._stopped.set()

    def clear(self) -> None:
        """End what a dead Ray left running; a living one ends its own."""
        if self._interrupts.lost:
            self._kill()
        self._cleared.set()

    def _await_death(self) -> None:
        while not self._stopped.wait(POLL_S):
            # Ray starts them as direct children of the driver; those of another Ray lie deeper and are none of ours.
            mine = [child for child in _children(os.getpid()) if child[0] not in self._others]
            dead = [name for _, name, lives in mine if name in VITAL and not lives]  # Ray lets them be zombies
            if dead and not self._stopped.is_set():  # else it was stopped on purpose while we looked
                self._lose(dead[0])
                return
            self._seen = {pid for pid, _, _ in _descendants(os.getpid())} - self._others

    def _lose(self, name: str) -> None:
        self._interrupts.lost = f"Ray's {name} ended"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._cleared.wait(GRACE_S):  # Ray waits in C++ for a reply that will never come
            self._kill()
            shutil.rmtree(self._scratch, ignore_errors=True)
            sys.stderr.write(f"error: {self._interrupts.lost}\n  {CONTINUES}\n")
            sys.stderr.flush()
            os._exit(SetupError.exit_code)

    def _kill(self) -> None:
        # A dead raylet's workers are no descendants any more.
        for pid in (self._seen | {pid for pid, _, _ in _descendants(os.getpid())}) - self._others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[tuple[int, str, bool]]:
    """Yield the children of a process as `_children` does, theirs, and so on."""
    for child in _children(pid):
        yield child
        yield from _descendants(child[0])


def _children(pid: int) -> Iterator[tuple[int, str, bool]]:
    """Yield the id and name of a process's children, and whether each is alive; nothing where there is no /proc.

    A zombie is a child that does not live.
    """
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                before, _, after = Path(f"/proc/{child}/stat").read_text().rpartition(") ")
                yield child, before.partition("(")[2], after[0] not in "ZX"
