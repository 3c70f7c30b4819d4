"""The unfinished cohorts of a stage: in training, left behind by a crash, or split into lanes parked on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from sweeper.coordinator.cohort_store import CohortFolder, Needed, StoredCohort
from sweeper.coordinator.refill import Parked, Refill, Stop
from sweeper.coordinator.resume import resume
from sweeper.errors import StaleAttemptError
from sweeper.records import Stage, TrialSpec
from sweeper.search import Search
from sweeper.worker.messages import Source
from trainer.recipe import Recipe
from trainer.recipe.regulariser import Bank


@dataclass
class Running:
    """A cohort in training: as handed out, with its recipe, the keys still living, and the attempt that may report."""

    cohort: StoredCohort
    recipe: Recipe
    living: set[str]
    attempt: int = 0
    specs: dict[str, TrialSpec] = field(init=False)

    def __post_init__(self) -> None:
        self.specs = {trial.key: trial for trial in self.cohort.trials}

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self.cohort.name

    @property
    def stage(self) -> Stage:
        """The stage its trials belong to."""
        return self.cohort.trials[0].stage


class CohortQueue:
    """Decides which lanes form the next cohort; every decision is on disk before anyone acts on it.

    What a crash leaves is sorted out in `sweeper.coordinator.resume`. After a disk error (OSError) the files on disk
    are still consistent, but this object must not be used again.
    """

    def __init__(self, folder: CohortFolder, recipe: Recipe, capacity: int) -> None:
        """`recipe` is the study's, shared by its trials; `capacity` is how many lanes a full cohort has."""
        self._folder, self._recipe, self._capacity = folder, recipe, capacity
        self._parking, self._needed = Refill(capacity), Needed()
        self._left: deque[tuple[StoredCohort, Collection[str]]] = deque()
        self._running: dict[str, Running] = {}

    def open(self, trials: Sequence[TrialSpec], stage: Stage) -> None:
        """Load a stage's cohorts from disk, given its running `trials`; remove folders that no trial needs."""
        resumed = resume(self._folder, trials, stage)
        for cohort, own in resumed.cohorts:
            self._take_up(cohort, own)
        for cohort, own in resumed.cohorts:
            if not own and not self._needed.any_of(cohort.name):
                self._folder.remove(cohort.name)
        # Claimed, but the crash came before the cohort was stored. They join other lanes at their first rung.
        self._left.extend((self._folder.store(StoredCohort.of([trial])), [trial.key]) for trial in resumed.lost)

    @property
    def in_work(self) -> bool:
        """Whether any cohort is in training, or is to be resumed."""
        return bool(self._left or self._running)

    def claim(self, search: Search) -> Running | None:
        """Return the next cohort, None if there is nothing to train now.

        Cohorts left by a crash come first, then parked lanes that fill a cohort, then fresh trials. Where there are
        no fresh trials, too few parked lanes go out as a smaller cohort, so that no worker idles.
        """
        if self._left:
            return self._begin(*self._left.popleft())
        if lanes := self._parking.take_full():
            return self._join(lanes)
        if trials := search.claim(self._capacity):
            return self._begin(self._folder.store(StoredCohort.of(trials)))
        if lanes := self._parking.take_any():
            return self._join(lanes)
        return None

    def running(self) -> tuple[Running, ...]:
        """Return the cohorts in training."""
        return tuple(self._running.values())

    def find(self, cohort: str) -> Running | None:
        """Return a cohort in training."""
        return self._running.get(cohort)

    def current(self, cohort: str, attempt: int) -> Running:
        """Return a cohort in training; raise StaleAttemptError if it is not, or if a newer attempt has begun."""
        running = self._running.get(cohort)
        if running is None or running.attempt != attempt:
            raise StaleAttemptError(f"attempt {attempt} at cohort {cohort} was replaced")
        return running

    def checkpoint(self, running: Running) -> Path:
        """Where a cohort's checkpoint lies."""
        return self._folder.checkpoint(running.name)

    def parked_at(self, running: Running) -> Path:
        """Where a cohort's worker is to save the lanes it parks."""
        return self._folder.parked(running.name)

    def weights_at(self, running: Running) -> Path:
        """Where a cohort's worker is to save weights that are kept."""
        return self._folder.weights(running.name)

    def sources(self, running: Running) -> tuple[Source, ...]:
        """Return, lane by lane, where a cohort's state is loaded from until it has a checkpoint of its own."""
        origins = running.cohort.origins
        return tuple(self._source(name, tuple(taken)) for name, taken in groupby(origins, lambda key: origins[key]))

    def saved(self, running: Running) -> None:
        """Note that a cohort has a checkpoint of its own and no longer needs its sources."""
        for key, source in running.cohort.origins.items():
            self._let_go(source, key)

    def is_to_part(self, running: Running, step: int, search: Search) -> bool:
        """Whether to park a cohort at a rung: it has free lanes, and other trials could fill them."""
        if not self._parking.has_room(len(running.living)):
            return False
        stop = Stop(running.recipe.hash, step, _bank(running.cohort))
        return self._parking.has_company(stop) or search.waits_for(running.cohort.trials[0].cell)

    def park(self, running: Running, step: int) -> None:
        """Split a cohort at a rung: its living lanes, saved by its worker at `parked_at`, wait to join others."""
        parted = self._folder.store(running.cohort.model_copy(update={"parked": step}))
        self._take_up(parted, [trial for trial in parted.trials if trial.key in running.living])
        del self._running[running.name]

    def parked(self) -> list[Parked]:
        """Return the lanes that wait for others."""
        return self._parking.waiting()

    def drop(self, lane: Parked) -> None:
        """Forget a parked lane."""
        self._parking.leave(lane)
        self._let_go(lane.cohort, lane.trial.key)

    def close(self, running: Running) -> None:
        """Forget a cohort with no living lane."""
        self.saved(running)
        self._folder.remove(running.name)
        del self._running[running.name]

    def stop(self) -> None:
        """Reject reports of every attempt from now on."""
        self._running.clear()

    def _take_up(self, cohort: StoredCohort, trials: Sequence[TrialSpec]) -> None:
        # `trials` are those that this cohort has, and no later one.
        keys = [trial.key for trial in trials]
        if cohort.parked is not None:
            stop = Stop(self._recipe_of(cohort).hash, cohort.parked, _bank(cohort))
            self._parking.park(stop, cohort.name, trials)
            for key in keys:
                self._needed.add(cohort.name, key)
        elif trials:
            self._left.append((cohort, keys))
            for key in cohort.origins.keys() & set(keys):
                self._needed.add(cohort.origins[key], key)

    def _join(self, lanes: Sequence[Parked]) -> Running:
        trials, sources = [lane.trial for lane in lanes], [lane.cohort for lane in lanes]
        return self._begin(self._folder.store(StoredCohort.of(trials, lanes[0].stop.step, sources)))

    def _begin(self, cohort: StoredCohort, living: Collection[str] | None = None) -> Running:
        running = Running(cohort, self._recipe_of(cohort), set(cohort.keys if living is None else living))
        self._running[cohort.name] = running
        return running

    def _source(self, name: str, taken: tuple[str, ...]) -> Source:
        # An unreadable file of lanes is passed on as no lanes, and the worker reports it as damaged.
        cohort = self._folder.read(name)
        return Source(checkpoint=str(self._folder.parked(name)), keys=cohort.keys if cohort else (), taken=taken)

    def _let_go(self, cohort: str, key: str) -> None:
        if self._needed.drop(cohort, key):
            self._folder.remove(cohort)

    def _recipe_of(self, cohort: StoredCohort) -> Recipe:
        return cohort.trials[0].cell.recipe(self._recipe)


def _bank(cohort: StoredCohort) -> Bank | None:
    return cohort.trials[0].cell.dispersion.bank  # as of all of its trials
