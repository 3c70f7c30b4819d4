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
        found = self._slots.setdefault(slot, _Slot())
        self._leave(found)
        found.life += 1
        return found.life

    def request(self, slot: int, life: int) -> None:
        """Note that a worker requests a cohort; raise StaleAttemptError for one that was replaced."""
        found = self._slots.get(slot)
        if self._closed or found is None or found.life != life:
            raise StaleAttemptError(f"worker {life} in slot {slot} was replaced")
        found.deaths = 0
        self._leave(found)

    def give(self, slot: int, cohort: str) -> None:
        """Note what the slot's worker trains next."""
        self._slots[slot].cohort = cohort

    def died(self, slot: int) -> int:
        """Note a worker's death; return how many died in this slot since one last requested a cohort."""
        found = self._slots.setdefault(slot, _Slot())
        self._leave(found)
        found.deaths += 1
        return found.deaths

    def close(self) -> None:
        """Reject every worker from now on."""
        self._closed = True

    def _leave(self, slot: _Slot) -> None:
        if slot.cohort is not None:
            self.left.append(slot.cohort)
        slot.cohort = None
