"""What workers last said they do: kept in memory alone, for displays and live curves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sweeper.coordinator.cohort_queue import Running
from sweeper.records import Activity
from sweeper.text.numbers import counted
from sweeper.worker.messages import Heartbeat


class LivePoint(NamedTuple):
    """The training loss of a trial, by its key, at a step, and the optimiser steps a second it trains at."""

    key: str
    step: int
    loss: float
    steps_per_s: float | None


@dataclass
class _Heard:
    beat: Heartbeat
    at: float
    steps_per_s: float | None
    is_new: bool = True


class Heartbeats:
    """The last heartbeat of every cohort. `take` may be called from any thread, all else from one."""

    def __init__(self) -> None:
        self._last: dict[str, _Heard] = {}

    def take(self, beat: Heartbeat) -> None:
        """Remember a heartbeat; how fast its worker trains follows from the one before of the same attempt."""
        now, before = time.monotonic(), self._last.get(beat.cohort)
        if before and before.beat.attempt > beat.attempt:
            return  # of a worker that was replaced
        speed = None
        if before and before.beat.attempt == beat.attempt:
            trained, passed = beat.step - before.beat.step, now - before.at
            # Measuring takes no steps: what is known of the speed stays.
            speed = trained / passed if beat.doing == before.beat.doing == "training" and passed else before.steps_per_s
        self._last[beat.cohort] = _Heard(beat, now, speed)

    def activities(self, running: Iterable[Running]) -> tuple[Activity, ...]:
        """Return what the workers of these cohorts do, those that have said so, in a lasting order."""
        return tuple(_activity(cohort, heard) for cohort, heard in self._of(running))

    def new_points(self, running: Iterable[Running]) -> Iterator[LivePoint]:
        """Yield the training losses that came since the last call, of trials that are still trained."""
        for cohort, heard in self._of(running):
            if heard.is_new:
                heard.is_new = False
                for key in sorted(cohort.living & heard.beat.losses.keys()):
                    yield LivePoint(key, heard.beat.step, heard.beat.losses[key], heard.steps_per_s)

    def _of(self, running: Iterable[Running]) -> list[tuple[Running, _Heard]]:
        """Pair cohorts with their last heartbeat, and forget those that are no longer trained."""
        known = {cohort.name: cohort for cohort in running}
        for name in self._last.keys() - known.keys():
            del self._last[name]
        pairs = ((cohort, self._last.get(name)) for name, cohort in sorted(known.items()))
        return [(cohort, heard) for cohort, heard in pairs if heard and heard.beat.attempt == cohort.attempt]


def _activity(cohort: Running, heard: _Heard) -> Activity:
    beat, living = heard.beat, sorted(cohort.living)
    first = cohort.specs[living[0]] if living else cohort.cohort.trials[0]
    more = f" and {counted(len(living) - 1, 'more trial')}" if len(living) > 1 else ""
    losses = [beat.losses[key] for key in living if key in beat.losses]
    return Activity(
        label=f"{first.cell.label}, seed {first.seed}{more}",
        doing=beat.doing,
        step=beat.step,
        until=beat.until,
        trials=len(living),
        steps_per_s=heard.steps_per_s,
        loss=sum(losses) / len(losses) if losses else None,
        card=beat.card,
    )
