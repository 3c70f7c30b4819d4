"""Which worker holds which slot, one at a time, and which cohorts dead workers left behind."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sweeper.errors import StaleAttemptError


@dataclass
class _Slot:
    # A slot's worker, counted from 1, the cohort it was given, and the deaths since a worker asked for one.
    life: int = 0
    cohort: str | None = None
    deaths: int = 0


class WorkerLeases:
    """The slots of a run, by number; a worker that was replaced in its slot is rejected.

    A slot's cohort moves to `left` once its worker died, was replaced or requests another, and any slot may
    resume it: the machine of a dead worker may never come back.
    """

    def __init__(self) -> None:
        self.left: deque[str] = deque()
        self._slots: dict[int, _Slot] = {}
        self._closed = False

    def enter(self, slot: int) -> int:
        """Register a new worker in a slot and return its number there; raise StaleAttemptError once closed."""
        if self._closed:
            raise StaleAttemptError("the study is closed")
        worker = self._slots.setdefault(slot, _Slot())
        self._leave(worker)
        worker.life += 1
        return worker.life

    def request(self, slot: int, life: int) -> None:
        """Note that a worker requests a cohort; raise StaleAttemptError for one that was replaced."""
        worker = self._slots.get(slot)
        if self._closed or worker is None or worker.life != life:
            raise StaleAttemptError(f"worker {life} in slot {slot} was replaced")
        worker.deaths = 0
        self._leave(worker)

    def give(self, slot: int, cohort: str) -> None:
        """Note what the slot's worker trains next."""
        self._slots[slot].cohort = cohort

    def died(self, slot: int) -> int:
        """Note a worker's death; return how many died in this slot since one last requested a cohort."""
        worker = self._slots.setdefault(slot, _Slot())
        self._leave(worker)
        worker.deaths += 1
        return worker.deaths

    def close(self) -> None:
        """Reject every worker from now on."""
        self._closed = True

    def _leave(self, slot: _Slot) -> None:
        if slot.cohort is not None:
            self.left.append(slot.cohort)
        slot.cohort = None
