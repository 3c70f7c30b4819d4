"""What our packages log in Ray's processes, brought to the driver's own loggers where all is printed (`-v`).

Ray would print the processes' whole output, unescaped; elsewhere it lies in Ray's folder, which goes with the run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.placement.coordinator_proxy import ASIDE_S, call
from sweeper.text.verbosity import PACKAGES, is_verbose

LinesActor = Any  # Ray makes an actor's methods at run time
MOST_LINES = 10_000  # held until the driver asks; the oldest go first
POLL_S = 1.0


class LogLine(NamedTuple):
    """A line of a process's log: its logger, its level and its text, with where it was logged."""

    logger: str
    level: int
    text: str


class LogLines:
    """Holds lines until they are taken; an actor, beside the driver."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)

    def add(self, line: LogLine) -> None:
        """Hold a line."""
        self._lines.append(line)

    def take(self) -> list[LogLine]:
        """Return what has come since the last call, in order."""
        taken = list(self._lines)
        self._lines.clear()
        return taken


class Forwarding(logging.Handler):
    """Sends each record on, as a line; a line that cannot be sent is lost, and the work goes on."""

    def __init__(self, send: Callable[[LogLine], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        with contextlib.suppress(RayError, ValueError, TypeError):
            where = f"{platform.node()}, process {os.getpid()}"
            self._send(LogLine(record.name, record.levelno, f"{self.format(record)} ({where})"))


def forward(lines: LinesActor | None) -> None:
    """Send what this process's packages log to the driver from now on, unless it wants none (None)."""
    if lines is None:
        return
    handler = Forwarding(lines.add.remote)
    for name in PACKAGES:
        logger = logging.getLogger(name)
        # Ray may run one worker after another in a process.
        logger.handlers = [other for other in logger.handlers if not isinstance(other, Forwarding)] + [handler]
        logger.setLevel(logging.DEBUG)


@contextlib.contextmanager
def worker_logs() -> Iterator[LinesActor | None]:
    """Give what processes send their lines to, and log these here as they come; None where they are not printed."""
    if not is_verbose():
        yield None
        return
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    lines: LinesActor = ray.remote(num_cpus=0)(LogLines).options(scheduling_strategy=here).remote()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(POLL_S):
            _log(lines)

    watcher = threading.Thread(target=watch, name="worker logs", daemon=True)
    watcher.start()
    try:
        yield lines
    finally:
        stop.set()
        watcher.join(timeout=ASIDE_S)
        _log(lines)


def _log(lines: LinesActor) -> None:
    with contextlib.suppress(Exception):  # a missed look is no failure of the run
        for line in call(lines.take.remote(), ASIDE_S, otherwise=()):
            logging.getLogger(line.logger).log(line.level, "%s", line.text)
