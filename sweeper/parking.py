"""Which lanes train together next: cohorts part at a rung where the pruner emptied them, and join others there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sweeper.records import TrialSpec

WORTH = 1 / 8  # of a cohort's lanes: fewer free ones do not pay for reading and writing its state


class Stop(NamedTuple):
    """What lanes must share to train together: a recipe, by its hash, and the step they are at."""

    recipe: str
    step: int


class Parked(NamedTuple):
    """A lane that waits at a stop for company; the checkpoint of `cohort` holds its state."""

    trial: TrialSpec
    cohort: str
    stop: Stop


class Parking:
    """The lanes that wait, in the order they came, and whose state is still needed."""

    def __init__(self, lanes: int) -> None:
        """`lanes` are those of a full cohort."""
        self._lanes = lanes
        self._stops: dict[Stop, dict[str, Parked]] = {}
        self._needed: dict[str, set[str]] = {}

    def has_room(self, living: int) -> bool:
        """Whether a cohort of so many living lanes is empty enough to be filled."""
        return self._lanes - living >= WORTH * self._lanes

    def has_company(self, stop: Stop) -> bool:
        """Whether lanes wait at this stop."""
        return stop in self._stops

    def park(self, stop: Stop, cohort: str, trials: Iterable[TrialSpec]) -> None:
        """Let lanes of a cohort wait at a stop."""
        for trial in trials:
            self._stops.setdefault(stop, {})[trial.key] = Parked(trial, cohort, stop)
            self.need(cohort, trial.key)

    def lanes(self) -> list[Parked]:
        """Return the lanes that wait."""
        return [lane for lanes in self._stops.values() for lane in lanes.values()]

    def leave(self, lane: Parked) -> None:
        """Let a lane wait no more."""
        lanes = self._stops[lane.stop]
        del lanes[lane.trial.key]
        if not lanes:
            del self._stops[lane.stop]

    def take(self, full: bool) -> list[Parked]:
        """Take the lanes of the next cohort, those of one source side by side; [] if there are none.

        With `full` there must be enough for all its lanes, and the furthest stop comes first: it is done soonest.
        Without, the nearest does, since those lanes may still catch up with the ones ahead. Their state is needed
        until it was given up.
        """
        stops = [stop for stop, lanes in self._stops.items() if len(lanes) >= self._lanes or not full]
        if not stops:
            return []
        stop = (max if full else min)(stops, key=lambda stop: (stop.step, stop.recipe))
        taken = list(self._stops[stop].values())[: self._lanes]
        for lane in taken:
            self.leave(lane)
        return taken

    def need(self, cohort: str, key: str) -> None:
        """Note that a trial's state may have to be read from a cohort's checkpoint."""
        self._needed.setdefault(cohort, set()).add(key)

    def needs(self, cohort: str) -> bool:
        """Whether a cohort's checkpoint may still have to be read."""
        return cohort in self._needed

    def give_up(self, cohort: str, key: str) -> bool:
        """Note that a trial needs a cohort's checkpoint no more; return whether nobody does now, said once."""
        keys = self._needed.get(cohort, set())
        keys.discard(key)
        return not keys and self._needed.pop(cohort, None) is not None
