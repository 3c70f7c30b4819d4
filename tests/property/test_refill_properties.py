"""Properties of cohorts that part and join, under any pattern of stopped lanes, and a crash at any instant."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.coordinator.cohort_queue import CohortQueue, Running
from sweeper.coordinator.cohort_store import CohortFolder, StoredCohort
from sweeper.records import Cell, TrialSpec
from sweeper.search import Search
from tests.sweeper.search.search_specs import BASELINE, CONTROL, cell, trials
from trainer.recipe import Recipe

RUNGS = (2, 4, 6, 8)
CRASHES = 0.03  # of all the instants at which everything may be killed
SPECS = trials([BASELINE, *(cell(0, 0.01 * (1 + place)) for place in range(6)), CONTROL], (0, 1, 2))


@dataclass
class Line:
    """What a fleet asks of a search: trials in line, those that run, and the step at which each ended."""

    waiting: list[TrialSpec] = field(default_factory=lambda: list(SPECS))
    running: dict[str, TrialSpec] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def claim(self, count: int) -> list[TrialSpec]:
        with_first = (
            spec for spec in self.waiting if alike(spec, self.waiting[0]) and spec.seed == self.waiting[0].seed
        )
        taken = list(with_first)[:count]
        self.waiting = [spec for spec in self.waiting if spec not in taken]
        self.running |= {spec.key: spec for spec in taken}
        return taken

    def is_running(self, key: str) -> bool:
        return key in self.running

    def waits_for(self, cell: Cell) -> bool:
        return any(spec.cell.overrides == cell.overrides for spec in self.waiting)

    def end(self, key: str, step: int) -> None:
        assert key not in self.ended, "a trial ends once"
        del self.running[key]
        self.ended[key] = step


def alike(one: TrialSpec, other: TrialSpec) -> bool:
    return one.cell.overrides == other.cell.overrides


class Crash(BaseException):
    """Everything is killed."""


class Brittle(CohortFolder):
    """Cohorts on disk, with a chance of being killed before and after everything written there."""

    def __init__(self, root: Path, perhaps: Callable[[], None]) -> None:
        super().__init__(root)
        self._perhaps = perhaps

    def store(self, cohort: StoredCohort) -> StoredCohort:
        self._perhaps()
        super().store(cohort)
        self._perhaps()
        return cohort

    def remove(self, name: str) -> None:
        self._perhaps()
        super().remove(name)
        self._perhaps()


class Story:
    """A fleet and its workers; what they save is a file that says at which step its lanes are."""

    def __init__(self, root: Path, lanes: int, slots: int, random: Random) -> None:
        self.root, self.lanes, self.slots, self.random = root, lanes, slots, random
        self.line = Line()
        self.begin()

    def begin(self) -> None:
        """Open the fleet, again if need be."""
        while True:
            self.work: list[tuple[Running, list[int]]] = []
            self.fleet = CohortQueue(Brittle(self.root, self.perhaps), Recipe(), self.lanes)
            with contextlib.suppress(Crash):
                self.fleet.open(tuple(self.line.running.values()), "screen")
                return

    @property
    def search(self) -> Search:
        return cast("Search", self.line)

    def perhaps(self) -> None:
        """Perhaps kill everything."""
        if self.random.random() < CRASHES:
            raise Crash

    def ask(self) -> None:
        running = self.fleet.claim(self.search)
        if running is None:
            assert not self.fleet.parked(), "nobody idles while lanes are parked"
            return
        busy = {key for other, _ in self.work for key in other.living}
        assert running.living
        assert not running.living & busy, "a trial is in one cohort at a time"
        assert len({spec.cell.overrides for spec in running.cohort.trials}) == 1
        if running.cohort.sources and len(running.cohort.trials) < self.lanes:
            assert not self.line.waiting, "joined cohorts are full as long as trials wait"
        running.attempt += 1
        self.check_state(running)
        self.work.append((running, [step for step in RUNGS if step > running.cohort.step]))

    def check_state(self, running: Running) -> None:
        """What a joined cohort begins with is there, at its step, however often everything was killed."""
        if self.fleet.checkpoint(running).exists():
            return
        for source in self.fleet.sources(running):
            saved = json.loads(Path(source.checkpoint).read_text())
            assert all(saved[key] == running.cohort.step for key in source.taken)
            assert set(source.taken) <= set(source.keys)

    def report(self, place: int) -> None:
        running, rungs = self.work.pop(place)
        step = rungs.pop(0)
        self.save(self.fleet.checkpoint(running), running, step)
        self.fleet.saved(running)
        share = self.random.choice((0, 0.3, 0.7)) if rungs else 1
        for key in [key for key in sorted(running.living) if self.random.random() < share]:
            self.line.end(key, step)
            running.living.discard(key)
            self.perhaps()
        if not running.living:
            self.fleet.close(running)
        elif rungs and self.fleet.is_to_part(running, step, self.search):
            self.save(self.fleet.parked_at(running), running, step)
            self.fleet.park(running, step)
        else:
            self.work.append((running, rungs))

    def save(self, path: Path, running: Running, step: int) -> None:
        path.write_text(json.dumps(dict.fromkeys(running.living, step)))
        self.perhaps()

    def round(self) -> None:
        """Give every slot something to do, and one of them a rung to report; go on anew if all were killed."""
        try:
            for _ in range(self.slots - len(self.work)):
                self.ask()
            self.perhaps()
            if self.work:
                self.report(self.random.randrange(len(self.work)))
        except Crash:
            self.begin()

    def run(self) -> None:
        while self.line.waiting or self.line.running:
            self.round()
        self.begin()  # what the last crash left is removed by whoever opens the study again


@given(seed=st.integers(0, 2**32), lanes=st.integers(1, 5), slots=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_every_trial_ends_once_no_state_is_lost_and_joined_cohorts_are_full(seed: int, lanes: int, slots: int):
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), lanes, slots, Random(seed))
        story.run()
        assert story.line.ended.keys() == {spec.key for spec in SPECS}
        assert list(Path(folder).iterdir()) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_cohort_of_one_lane_never_parts(seed: int):
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), 1, 2, Random(seed))
        while story.line.waiting or story.line.running:
            story.round()
            assert not story.fleet.parked()
