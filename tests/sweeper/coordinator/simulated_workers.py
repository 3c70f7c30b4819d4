"""Workers that train nothing: they ask, report and obey as real ones do, so that a whole study takes a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sweeper.coordinator.coordinator import Coordinator
from sweeper.records import Rung, TrialSpec
from sweeper.worker.messages import Assignment, LaneReport
from tests.sweeper.coordinator.coordinators import FACTS

Value = Callable[[TrialSpec, int], float | None]  # a trial's objective at a step, None where it diverges


class SimulatedWorkers:
    """Slots that take turns; at a turn a worker asks for a cohort if it has none, and reports a rung."""

    def __init__(self, coordinator: Coordinator, slots: int, value: Value) -> None:
        self._coordinator, self._value = coordinator, value
        self._lives = {slot: coordinator.enter(slot) for slot in range(slots)}
        self._work: dict[int, tuple[Assignment, frozenset[str], list[int]]] = {}
        self.at: Counter[str] = Counter()  # the step every trial was trained to
        self.given: list[tuple[Assignment, int]] = []  # and how many trials waited then
        self.idle = 0  # lanes that were parked while a slot got nothing

    def run(self) -> None:
        """Go on until the coordinator is done."""
        while not self._coordinator.done():
            self.round()

    def round(self) -> None:
        """Give every slot a turn."""
        for slot in self._lives:
            if slot in self._work or self._ask(slot):
                self._train(slot)

    def _ask(self, slot: int) -> bool:
        given = self._coordinator.next(slot, self._lives[slot])
        if given is None:
            self.idle += len(self._coordinator._queue.parked())
            return False
        busy = {key for _, living, _ in self._work.values() for key in living}
        assert not given.living & busy, "a trial is in one cohort at a time"
        self.given.append((given, self._coordinator.progress().counts.get("waiting", 0)))
        self._work[slot] = given, given.living, list(given.rungs)
        return True

    def _train(self, slot: int) -> None:
        given, living, rungs = self._work.pop(slot)
        step = rungs.pop(0)
        named = given.recipe.eval.recorded("fid", last=not rungs)
        reports = [self._report(spec, step, named) for spec in given.trials if spec.key in living]
        survivors = self._coordinator.report(given.cohort, given.attempt, reports, FACTS, last=not rungs)
        if not survivors:
            return
        if rungs and self._coordinator.parts(given.cohort, given.attempt, step):
            self._coordinator.park(given.cohort, given.attempt, step)
        else:
            self._work[slot] = given, survivors, rungs

    def _report(self, spec: TrialSpec, step: int, named: str) -> LaneReport:
        self.at[spec.key] = step
        value = self._value(spec, step)
        rung = Rung(step=step, metrics={} if value is None else {named: value})
        return LaneReport(key=spec.key, diverged=value is None, rung=rung)
