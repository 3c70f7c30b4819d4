"""Training losses while trials train: curves to watch in MLflow that are no part of the record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

_log = logging.getLogger(__name__)

INTERVAL_S = 10.0
MOST_TRIALS = 8  # of which points are delivered at once: one call each
MOST_POINTS = 200  # kept of a trial; a store that does not answer loses the oldest


class Point(NamedTuple):
    """A training loss at a step, with the steps a second it is trained at where that is known, and when it was seen."""

    at_ms: int
    step: int
    loss: float
    steps_per_s: float | None


class LivePoints:
    """Points wait here, by trial, until they are delivered or replaced. Any thread may add."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.interval_s = interval_s
        self._waiting: dict[str, list[Point]] = {}
        self._guard = threading.Lock()
        self._last = time.monotonic()

    def add(self, key: str, step: int, loss: float, steps_per_s: float | None) -> None:
        """Add a point to a trial's curve."""
        point = Point(int(time.time() * 1000), step, loss, steps_per_s)
        with self._guard:
            self._waiting[key] = [*self._waiting.get(key, ())[1 - MOST_POINTS :], point]

    def deliver(self, write: Callable[[str, Sequence[Point]], bool]) -> None:
        """Write the points of the trials that have waited longest, if it is time to.

        Where `write` returns False the trial is not known yet, and its points wait on; an error loses them.
        """
        if time.monotonic() - self._last < self.interval_s:
            return
        try:
            for key, points in self._take():
                if not write(key, points):
                    self._put_back(key, points)
        except Exception as error:  # of any store, of any kind: they are a comfort, and the record goes its own way
            _log.debug("live points are lost: %s", error)
        self._last = time.monotonic()

    def _put_back(self, key: str, points: list[Point]) -> None:
        with self._guard:
            self._waiting[key] = [*points, *self._waiting.pop(key, ())][-MOST_POINTS:]

    def _take(self) -> list[tuple[str, list[Point]]]:
        with self._guard:
            return [(key, self._waiting.pop(key)) for key in list(self._waiting)[:MOST_TRIALS]]
