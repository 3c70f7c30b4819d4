"""The one process that owns search and ledger: it hands out cohorts, records what workers report, and judges."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sweeper.coordinator.assignments import assignment
from sweeper.coordinator.cohort_queue import CohortQueue, Running
from sweeper.coordinator.cohort_store import CohortFolder
from sweeper.coordinator.halting import Halt, or_halt
from sweeper.coordinator.heartbeats import Heartbeats
from sweeper.coordinator.paths import Paths
from sweeper.coordinator.run_totals import RunTotals
from sweeper.coordinator.show_progress import progress_of
from sweeper.coordinator.stages import Stages
from sweeper.coordinator.worker_leases import WorkerLeases
from sweeper.errors import StaleAttemptError, SweeperError
from sweeper.ledger import Ledger
from sweeper.planning.trials import lane_count, rung_steps
from sweeper.records import Facts, Progress, Provenance, Stage, TrialSpec, TrialState
from sweeper.search import Search
from sweeper.stores.retry import PATIENCE_S, Patience
from sweeper.study import Study
from sweeper.text.numbers import times
from sweeper.text.passwords import masked
from sweeper.worker.messages import Assignment, Heartbeat, LaneReport

STOPPED = "stopped: clearly behind"


class Coordinator:
    """Decides which cohort runs next and which trials survive; every decision is on disk before anyone acts on it."""

    def __init__(
        self,
        study: Study,
        stages: Sequence[Stage],
        paths: Paths,
        provenance: Provenance,
        lanes: int | None = None,
        patience_s: float = PATIENCE_S,
        retry: bool = False,
    ) -> None:
        """`lanes` is how many trials a cohort has; by default what the study's resources give.

        `patience_s` is how long to wait for a store that does not answer. With `retry`, failed trials run again.
        """
        self.halting, self._patience = Halt(paths.folder / "failures.log"), Patience(patience_s)
        self._study, self._paths = study, paths
        self._stages = Stages(paths, stages, self._patience, retry)
        self._totals = RunTotals(paths.folder, provenance)
        lanes = lanes or lane_count(study, "cuda" if study.resources.gpus else "cpu")
        self._queue = CohortQueue(CohortFolder(paths.folder / "cohorts"), study.recipe, lanes)
        self._leases, self._heartbeats = WorkerLeases(), Heartbeats()
        self._lost: dict[str, str] = {}

    def open(self) -> None:
        """Open or continue the study; trials that were running when it last stopped are handed out first.

        Raises StudyError, SetupError or ConflictError as the search and the ledger do.
        """
        paths, mine = self._paths, self._paths.registration
        self._ledger = Ledger(
            *(paths.tracking_uri, paths.artifacts, paths.folder / "outbox.jsonl", self._study.name),
            at_once=False,
            hopeless=self.halting.call_for,
            registration=mine,
        )
        try:
            self._stages.open()
            self._queue.open(self._search.running(), self._stages.stage)
        except BaseException:
            self._ledger.close(timeout=0)
            raise
        self._ledger.study_opened(self._study, self._totals.provenance(), mine.added)
        self._record_opening()

    def enter(self, slot: int) -> int:
        """Register a new worker in a slot and return its number there; the worker before it gets no more cohorts."""
        return self._leases.enter(slot)

    def next(self, slot: int, life: int) -> Assignment | None:
        """Return what a slot trains next, None if there is nothing now (see `done`).

        A dead worker's cohort comes first, up to the study's number of retries, after which it is recorded as failed.
        Raises StaleAttemptError for a worker that was replaced.
        """
        self._leases.request(slot, life)
        cohort = self.claim()
        if cohort is None:
            return None
        self._leases.give(slot, cohort)
        return self.begin(cohort)

    def died(self, slot: int) -> None:
        """Note that a slot's worker died; halt the study where workers die before they can even ask for a cohort."""
        deaths = self._leases.died(slot)
        if deaths > self._study.resources.retries + 1:
            self.halting.call(f"{deaths} worker processes in a row ended before they could begin")

    def claim(self) -> str | None:
        """Return the name of the next cohort to train, or None if none can be given now (see `done`)."""
        with contextlib.suppress(StaleAttemptError), self.halting.guarding():
            return self._left_behind() or self._claim()
        return None

    def _claim(self) -> str | None:
        while True:
            running = self._queue.claim(self._search)
            if running:
                for key in sorted(running.living):
                    self._ledger.trial_started(running.specs[key], attempt=1)
                return running.name
            if self._queue.in_work or not self._search.done() or self._stages.is_over:
                return None
            self._patience.through(self._stages.advance)
            self._queue.open(self._search.running(), self._stages.stage)
            self._record_opening()

    def done(self) -> bool:
        """Whether there is nothing left to hand out: every trial of every stage is decided, or the study halted."""
        if self.halting:
            return True
        return not self._queue.in_work and self._search.done() and self._stages.is_over

    def begin(self, cohort: str) -> Assignment | None:
        """Start an attempt at a cohort, which invalidates earlier ones; None if the cohort is not in training."""
        running = self._queue.find(cohort)
        if running is None:
            return None
        running.attempt += 1
        baseline = any(trial.cell.role == "baseline" for trial in running.cohort.trials)
        check_fid = baseline and self._totals.asks_for_fid(cohort)
        return assignment(self._study, running, self._queue, self._paths, check_fid)

    @or_halt
    def started(self, cohort: str, attempt: int, facts: Facts) -> None:
        """Record that an attempt's training begins; halt the study if its worker read other data than the first one."""
        running = self._queue.current(cohort, attempt)
        self._stages.hold(running.recipe, facts)
        self._totals.training_began()
        self._ledger.deliver()
        for key in sorted(running.living) if attempt > 1 else ():  # the first was recorded when it was claimed
            self._ledger.trial_started(running.specs[key], attempt)

    @or_halt
    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        """Record a rung of all living lanes, then judge them together; return the keys of those that go on.

        Idempotent: a rung reported again changes nothing. The ledger records it before the search decides, so that a
        crash in between repeats the report instead of losing it.
        """
        running = self._queue.current(cohort, attempt)
        self._queue.saved(running)
        for report in reports:
            self._record(running, report, facts)
        for report in reports:
            if report.diverged:
                self._leave(running, report.key, "diverged", "loss or weights not finite")
            elif last:
                value = self._study.minimised.of(report.rung.metrics)
                self._leave(running, report.key, "complete", report.lost, value)
        for key in sorted(self._search.judge(sorted(running.living))):
            self._leave(running, key, "pruned", STOPPED)
        self._record_dropped()
        self._totals.keep()
        if not running.living:
            self._close(running)
        return frozenset(running.living)

    @or_halt
    def parts(self, cohort: str, attempt: int, step: int) -> bool:
        """Whether a cohort that goes on from a rung is to be parked, so that its lanes can join others."""
        return self._queue.is_to_part(self._queue.current(cohort, attempt), step, self._search)

    @or_halt
    def park(self, cohort: str, attempt: int, step: int) -> None:
        """Take back a cohort's living lanes, saved by its worker, to hand them out again in another cohort."""
        self._queue.park(self._queue.current(cohort, attempt), step)
        self._totals.fid_not_checked(cohort)

    @or_halt
    def failed(self, cohort: str, reason: str, attempt: int | None = None, trace: str = "") -> None:
        """Record that a cohort cannot be trained: an error in its worker, or more deaths than retries.

        `trace` goes to failures.log in the study's folder.
        """
        running = self._queue.find(cohort)
        if running is None or (attempt is not None and attempt != running.attempt):
            return
        self.halting.write(f"{', '.join(sorted(running.living))}: {reason}", trace)
        for key in sorted(running.living):
            self._leave(running, key, "failed", masked(reason))
        self._close(running)

    def halt(self, cohort: str, reason: SweeperError, attempt: int) -> None:
        """Stop handing out cohorts, since this machine cannot go on; trials stay undecided and can be continued."""
        running = self._queue.find(cohort)
        if running is not None and attempt == running.attempt:
            self.halting.call_for(reason)

    def halted(self) -> SweeperError | None:
        """Return why the study was halted, if it was. Any thread may ask."""
        return self.halting.error

    def beat(self, heartbeat: Heartbeat) -> None:
        """Remember what a worker does right now. Any thread may tell."""
        self._heartbeats.take(heartbeat)

    def waits_for(self) -> str:
        """Describe which store a call waits for, and since when; empty if none does. Safe from any thread."""
        return self._patience.waits_for()

    def give_up(self) -> None:
        """Stop waiting for stores: the run is about to end. Safe from any thread."""
        self._patience.give_up()

    def progress(self) -> Progress:
        """Return how far the study is, and renew the lease to run it."""
        with contextlib.suppress(StaleAttemptError), self.halting.guarding():
            self._stages.renew()
        return progress_of(self._study, self._stages, self._queue, self._heartbeats, self._ledger, self._lost)

    def close(self, interrupted: bool, timeout: float) -> bool:
        """Record the study's end and deliver what the outbox still holds; return whether everything arrived.

        Workers that still run are turned away from now on.
        """
        self._leases.close()
        self._queue.stop()
        try:
            self._totals.keep()
            if interrupted or self.halting:
                self._ledger.interrupted(self._totals.provenance())
            else:
                self._ledger.study_finished(self._totals.provenance(), bool(self.progress().counts.get("failed")))
        except OSError as error:
            self.halting.call_for(error)
        self._stages.close()
        return self._ledger.close(timeout)

    @property
    def _search(self) -> Search:
        return self._stages.search

    def _record_opening(self) -> None:
        if chosen := self._stages.chosen:
            self._ledger.seeds_chosen(chosen.seeds, chosen.looks)
        self._record_dropped()

    def _rungs(self, running: Running) -> tuple[int, ...]:
        return rung_steps(self._study, running.recipe, running.stage)

    def _left_behind(self) -> str | None:
        while self._leases.left:
            running = self._queue.find(self._leases.left.popleft())
            if running and running.attempt <= self._study.resources.retries:
                return running.name
            if running:
                self.failed(running.name, f"its worker process ended {times(running.attempt)} before it could report")
        return None

    def _record(self, running: Running, report: LaneReport, facts: Facts) -> None:
        spec, rung = running.specs[report.key], report.rung
        self._ledger.rung(spec, rung, facts)
        if report.grid_png is not None:
            self._ledger.grid(spec, report.grid_png, rung.step)
        if report.weights is not None:
            self._ledger.weights(spec, Path(report.weights), rung.step)
        if report.lost:
            self._lost[report.key] = report.lost
        self._totals.fid_checked(rung.metrics.get("torch_fidelity_difference"))
        if not report.diverged:
            steps = self._rungs(running)
            value, beside = self._study.judged(rung.metrics, last=rung.step == steps[-1])
            self._search.report(report.key, rung.step, steps.index(rung.step), value, beside)

    def _record_dropped(self) -> None:
        for spec in self._search.take_dropped():
            self._ledger.trial_finished(spec, "pruned", "never started: its configuration is out of the race")
        parked = {lane.trial.key: lane for lane in self._queue.parked()}
        for key in sorted(self._search.out(parked)):
            self._finish(parked[key].trial, "pruned", STOPPED)
            self._queue.drop(parked[key])

    def _leave(self, running: Running, key: str, state: TrialState, note: str, value: float | None = None) -> None:
        self._finish(running.specs[key], state, note, value)
        running.living.discard(key)

    def _finish(self, spec: TrialSpec, state: TrialState, note: str, value: float | None = None) -> None:
        self._ledger.trial_finished(spec, state, note, self._search.audited(spec.key))
        self._search.finish(spec.key, state, value, note)

    def _close(self, running: Running) -> None:
        self._totals.fid_not_checked(running.name)
        self._queue.close(running)
