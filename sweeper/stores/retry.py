"""Waiting for a store that does not answer: repeat the same write, with growing pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sweeper.errors import UnavailableError

T = TypeVar("T")

PATIENCE_S = 600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 15.0


class Patience:
    """Retries for at least `seconds`; another thread can see what it waits for, and end the waiting."""

    def __init__(
        self,
        seconds: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """`clock` and `pause` are those of `time` unless a test passes others."""
        self._seconds, self._clock = seconds, clock
        self._given_up = threading.Event()
        self._pause = pause or self._given_up.wait
        self._waiting: tuple[str, float] | None = None

    def through(self, action: Callable[[], T]) -> T:
        """Call `action`, and repeat it while it raises UnavailableError; raise that when time is up.

        A failed attempt may have had its effect, if only the answer was lost; so `action` must be idempotent.
        """
        begun, pause = self._clock(), FIRST_PAUSE_S
        try:
            while True:
                try:
                    return action()
                except UnavailableError as error:
                    if self._given_up.is_set() or self._clock() - begun >= self._seconds:
                        raise
                    since = self._waiting[1] if self._waiting else begun
                    self._waiting = error.message, since
                self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            self._waiting = None

    def waits_for(self) -> str:
        """Describe what is being waited for, and since when; empty if nothing is. Safe from any thread."""
        waiting = self._waiting
        return f"{waiting[0]}; asked again and again for {self._clock() - waiting[1]:.0f} s now" if waiting else ""

    def give_up(self) -> None:
        """Stop waiting, now and from now on."""
        self._given_up.set()
