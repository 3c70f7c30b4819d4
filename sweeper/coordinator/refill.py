"""Refilling cohorts: the lanes that pruning left in one are parked at the rung and join parked lanes of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sweeper.records import TrialSpec
from trainer.recipe.regulariser import Bank

WORTH = 1 / 8  # of a cohort's lanes: with fewer free, reading and writing state costs more than it saves


class Stop(NamedTuple):
    """What lanes must share to train together: a recipe, by its hash, their step, the size of their memory banks."""

    recipe: str
    step: int
    bank: Bank | None = None


class Parked(NamedTuple):
    """A lane that waits at a stop for others to train with; `cohort` parked it."""

    trial: TrialSpec
    cohort: str
    stop: Stop


class Refill:
    """The lanes that wait, in the order they came."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is how many lanes a full cohort has."""
        self._capacity = capacity
        self._stops: dict[Stop, dict[str, Parked]] = {}

    def has_room(self, living: int) -> bool:
        """Whether a cohort of so many living lanes is empty enough to be filled."""
        return self._capacity - living >= WORTH * self._capacity

    def has_company(self, stop: Stop) -> bool:
        """Whether lanes wait at this stop."""
        return stop in self._stops

    def park(self, stop: Stop, cohort: str, trials: Iterable[TrialSpec]) -> None:
        """Let lanes of a cohort wait at a stop."""
        for trial in trials:
            self._stops.setdefault(stop, {})[trial.key] = Parked(trial, cohort, stop)

    def waiting(self) -> list[Parked]:
        """Return the lanes that wait."""
        return [lane for lanes in self._stops.values() for lane in lanes.values()]

    def leave(self, lane: Parked) -> None:
        """Remove a waiting lane."""
        lanes = self._stops[lane.stop]
        del lanes[lane.trial.key]
        if not lanes:
            del self._stops[lane.stop]

    def take_full(self) -> list[Parked]:
        """Take the lanes of a full cohort; [] if no stop has so many.

        The furthest stop is first: its lanes are done soonest.
        """
        full = [stop for stop, lanes in self._stops.items() if len(lanes) >= self._capacity]
        return self._take(max(full, key=_place)) if full else []

    def take_any(self) -> list[Parked]:
        """Take the lanes of a cohort, full or not; [] if none wait.

        The nearest stop is first, since its lanes may still catch up with the ones ahead.
        """
        return self._take(min(self._stops, key=_place)) if self._stops else []

    def _take(self, stop: Stop) -> list[Parked]:
        taken = list(self._stops[stop].values())[: self._capacity]
        for lane in taken:
            self.leave(lane)
        return taken


def _place(stop: Stop) -> tuple[int, str]:
    return stop.step, stop.recipe
