"""Who trains in which slot: one worker at a time, and what it was given last."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.errors import StaleAttemptError


@dataclass
class _Slot:
    # A slot's worker, counted from 1, the cohort it was given, and the deaths since a worker asked for one.
    life: int = 0
    cohort: str = ""
    deaths: int = 0


class Slots:
    """The slots of a run, by number; a worker that was replaced in its slot is turned away."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._closed = False

    def enter(self, slot: int) -> int:
        """Begin a worker's life in a slot and return its number there; raise StaleAttemptError once closed."""
        if self._closed:
            raise StaleAttemptError("the study is closed")
        found = self._slots.setdefault(slot, _Slot())
        found.life += 1
        return found.life

    def held(self, slot: int, life: int) -> str:
        """Return the cohort given last in this slot, '' before; raise StaleAttemptError for a replaced worker."""
        found = self._current(slot, life)
        found.deaths = 0
        return found.cohort

    def give(self, slot: int, life: int, cohort: str) -> None:
        """Note what a worker trains next."""
        self._current(slot, life).cohort = cohort

    def died(self, slot: int) -> int:
        """Note a worker's death; return how many died here since one asked for a cohort."""
        found = self._slots.setdefault(slot, _Slot())
        found.deaths += 1
        return found.deaths

    def close(self) -> None:
        """Turn every worker away from now on."""
        self._closed = True

    def _current(self, slot: int, life: int) -> _Slot:
        found = self._slots.get(slot)
        if self._closed or found is None or found.life != life:
            raise StaleAttemptError(f"worker {life} in slot {slot} was replaced")
        return found
