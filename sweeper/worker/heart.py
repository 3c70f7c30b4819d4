"""When a worker tells the coordinator what it does: every few seconds, so that it costs training nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from sweeper.records import CardMemory
from sweeper.worker.messages import Assignment, Doing, Heartbeat

INTERVAL_S = 2.0


class Heart:
    """Sends an assignment's heartbeats, at most one in `interval_s` seconds while it trains."""

    def __init__(
        self,
        send: Callable[[Heartbeat], None],
        assignment: Assignment,
        interval_s: float = INTERVAL_S,
        card: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        """`card` looks up the bytes that are used and that there are on the worker's GPU, if it has one."""
        self._send, self._assignment, self._interval_s, self._card = send, assignment, interval_s, card
        self._last = time.monotonic()

    def trains(self, step: int, until: int, losses: Callable[[], Mapping[str, float]]) -> None:
        """Say that training is at `step`, if it is time to: only then are the `losses`, which may wait for a device."""
        now = time.monotonic()
        if now - self._last >= self._interval_s:
            self._last = now
            self._beat("training", step, until, losses())

    def measures(self, step: int) -> None:
        """Say that a rung is being measured, which may take long."""
        self._beat("measuring", step, step, {})

    def _beat(self, doing: Doing, step: int, until: int, losses: Mapping[str, float]) -> None:
        own, memory = self._assignment, self._card()
        self._send(
            Heartbeat(
                cohort=own.cohort,
                attempt=own.attempt,
                doing=doing,
                step=step,
                until=until,
                losses=losses,
                card=CardMemory(used=memory[0], total=memory[1]) if memory else None,
            )
        )
