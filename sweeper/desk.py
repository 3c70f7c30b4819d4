"""The one process that owns search and ledger: it hands out cohorts, records what workers report, and judges."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from sweeper.chosen import Chosen
from sweeper.cohorts import CohortFolder
from sweeper.errors import StudyError
from sweeper.fleet import Fleet, Running
from sweeper.inert import masked
from sweeper.ledger import Ledger
from sweeper.places import Places
from sweeper.plan import confirm_trials, lane_count, rung_steps, screen_trials
from sweeper.records import Assignment, Facts, LaneReport, Progress, Provenance, Stage, TrialSpec, TrialState
from sweeper.search import Search
from sweeper.slots import Slots
from sweeper.spent import Spent
from sweeper.study import Study

STOPPED = "stopped: clearly behind"


class Desk:
    """Decides which cohort runs next and which trials survive; every decision is on disk before it is told."""

    def __init__(
        self, study: Study, stages: Sequence[Stage], places: Places, provenance: Provenance, lanes: int | None = None
    ) -> None:
        """`lanes` are the trials of a cohort; those the study's resources stand for if not given."""
        self._study, self._stages, self._places = study, deque(stages), places
        self._stage: Stage = stages[0]
        self._spent = Spent(places.folder, provenance)
        lanes = lanes or lane_count(study, "cuda" if study.resources.gpus else "cpu")
        self._fleet = Fleet(CohortFolder(places.folder / "cohorts"), study.recipe, lanes)
        self._slots = Slots()
        self._searches: dict[Stage, Search] = {}
        self._halted = ""
        self._fresh_seeds: tuple[int, ...] = ()

    def open(self) -> None:
        """Open or continue the study; trials that were running when it was last left are handed out first.

        Raises StudyError, SetupError or ConflictError as the search and the ledger do.
        """
        self._outbox = self._places.folder / "outbox.jsonl"
        self._ledger = Ledger(
            self._places.tracking_uri, self._places.artifacts, self._outbox, self._study.name, at_once=False
        )
        try:
            self._open_stage()
        except BaseException:
            self._ledger.close(timeout=0)
            raise
        self._ledger.study_opened(self._study, self._spent.provenance())
        self._record_opening()

    def enter(self, slot: int) -> int:
        """Begin a worker's life in a slot and return its number there; the worker before it gets nothing any more."""
        return self._slots.enter(slot)

    def next(self, slot: int, life: int) -> Assignment | None:
        """Return what a slot trains next, None if there is nothing now (see `done`).

        What a dead worker left comes first, as often as the study retries; then it is recorded as failed. Raises
        StaleAttemptError for a worker that was replaced.
        """
        self._slots.asks(slot, life)
        cohort = self._left_behind() or self.claim()
        if cohort is None:
            return None
        self._slots.give(slot, cohort)
        return self.begin(cohort)

    def died(self, slot: int) -> None:
        """Note that a slot's worker died; halt the study where workers die before they can even ask for a cohort."""
        deaths = self._slots.died(slot)
        if deaths > self._study.resources.retries + 1:
            self._halted = self._halted or f"{deaths} worker processes in a row ended before they could begin"

    def claim(self) -> str | None:
        """Return the name of the next cohort to train, or None if none can be given now (see `done`)."""
        try:
            return self._claim()
        except OSError as error:  # of this machine's disk; what is on it is whole, and another run begins with that
            self._halted = f"{type(error).__name__}: {error}"
            return None

    def _claim(self) -> str | None:
        while not self._halted:
            running = self._fleet.claim(self._search)
            if running:
                for key in sorted(running.living):
                    self._ledger.trial_started(running.specs[key], attempt=1)
                return running.name
            if self._fleet.in_work or not self._search.done() or len(self._stages) == 1:
                return None
            self._stages.popleft()
            self._open_stage()
            self._record_opening()
        return None

    def done(self) -> bool:
        """Whether there is nothing left to hand out: every trial of every stage is decided, or the study halted."""
        if self._halted:
            return True
        return not self._fleet.in_work and len(self._stages) == 1 and self._search.done()

    def begin(self, cohort: str) -> Assignment | None:
        """Start an attempt at a cohort, after which earlier ones may no longer report; None if it is in no work."""
        running = self._fleet.find(cohort)
        if running is None:
            return None
        running.attempt += 1
        trials, resources = running.cohort.trials, self._study.resources
        return Assignment(
            cohort=cohort,
            attempt=running.attempt,
            recipe=running.recipe,
            trials=trials,
            living=frozenset(running.living),
            rungs=tuple(step for step in self._rungs(running) if step > running.cohort.step),
            checkpoint=str(self._fleet.checkpoint(running)),
            parked=str(self._fleet.parked_at(running)),
            sources=self._fleet.sources(running),
            checkpoint_seconds=resources.checkpoint_seconds,
            cache=str(self._places.cache),
            base=str(self._places.base),
            cpus=resources.cpus,
            gpus=resources.gpus,
            check_fid=any(trial.cell.role == "baseline" for trial in trials) and self._spent.asks_for_fid(cohort),
            full=running.stage == "confirm",
        )

    def started(self, cohort: str, attempt: int) -> None:
        """Record that an attempt's training begins."""
        running = self._fleet.current(cohort, attempt)
        self._spent.training_began()
        self._ledger.deliver()
        for key in sorted(running.living) if attempt > 1 else ():  # the first was recorded when it was claimed
            self._ledger.trial_started(running.specs[key], attempt)

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        """Record a rung of all living lanes, then judge them together; return the keys of those that go on.

        Idempotent: a rung reported again changes nothing. The ledger is told before the search decides, so that a
        crash in between repeats the report instead of losing it.
        """
        running = self._fleet.current(cohort, attempt)
        self._fleet.saved(running)
        for report in reports:
            self._record(running, report, facts)
        for report in reports:
            if report.diverged:
                self._leave(running, report.key, "diverged", "loss or weights not finite")
            elif last:
                self._leave(running, report.key, "complete", "", report.rung.metrics[self._study.objective])
        for key in sorted(self._search.judge(sorted(running.living))):
            self._leave(running, key, "pruned", STOPPED)
        self._record_dropped()
        self._spent.keep()
        if not running.living:
            self._close(running)
        return frozenset(running.living)

    def parts(self, cohort: str, attempt: int, step: int) -> bool:
        """Whether a cohort that goes on from a rung is to be parked, to train further in the company of others."""
        return self._fleet.is_to_part(self._fleet.current(cohort, attempt), step, self._search)

    def park(self, cohort: str, attempt: int, step: int) -> None:
        """Take back a cohort's living lanes, which its worker has saved, and hand them out again with others."""
        self._fleet.park(self._fleet.current(cohort, attempt), step)
        self._spent.fid_not_checked(cohort)

    def failed(self, cohort: str, reason: str, attempt: int | None = None, trace: str = "") -> None:
        """Record that a cohort cannot be trained: an error in its worker, or more deaths than retries.

        `trace` goes to failures.log in the study's folder.
        """
        running = self._fleet.find(cohort)
        if running is None or (attempt is not None and attempt != running.attempt):
            return
        with (self._places.folder / "failures.log").open("a", encoding="utf-8") as log:
            log.write(masked(f"{', '.join(sorted(running.living))}: {reason}\n{trace}\n"))
        for key in sorted(running.living):
            self._leave(running, key, "failed", masked(reason))
        self._close(running)

    def halt(self, cohort: str, reason: str, attempt: int) -> None:
        """Hand out nothing more, since this machine cannot go on; the trials stay undecided and can be continued."""
        running = self._fleet.find(cohort)
        if running is not None and attempt == running.attempt:
            self._halted = self._halted or masked(reason)

    def halted(self) -> str:
        """Return why the study was halted; empty if it was not."""
        return self._halted

    def progress(self) -> Progress:
        """Return how far the study is."""
        counts: Counter[TrialState] = Counter()
        for search in self._searches.values():
            counts.update(search.counts())
        best, trouble, rejected = self._search.best(), self._ledger.trouble, self._ledger.rejected
        messages = [f"recording is delayed: {trouble}"] if trouble else []
        if rejected:
            messages.append(f"{rejected} events could not be recorded and lie in {self._outbox}.rejected")
        return Progress(
            stage=self._stage,
            counts=dict(counts),
            lowest=f"{best.trial.cell.label}: {self._study.objective} {best.value:.3g}" if best else "",
            messages=tuple(messages),
        )

    def close(self, interrupted: bool, timeout: float) -> bool:
        """Write the study's end and deliver what is undelivered; return whether everything arrived.

        Workers that still run are turned away from now on.
        """
        self._slots.close()
        self._fleet.stop()
        self._spent.keep()
        failed = any(search.counts().get("failed", 0) for search in self._searches.values())
        if interrupted:
            self._ledger.interrupted(self._spent.provenance())
        else:
            self._ledger.study_finished(self._spent.provenance(), failed)
        for search in self._searches.values():
            search.close()
        return self._ledger.close(timeout)

    @property
    def _search(self) -> Search:
        return self._searches[self._stage]

    def _open_stage(self) -> None:
        stage, trials = self._stages[0], screen_trials(self._study)
        if stage == "confirm":
            if "screen" not in self._searches:
                self._searches["screen"] = Search(self._places.store_url, self._study, "screen", trials)
            screened = self._searches["screen"]
            if not screened.done():
                raise StudyError("the screen is not finished, so nothing can be confirmed", "run without --stage first")
            chosen = Chosen.keep(self._places.folder / "confirm.json", screened.candidates, screened.fresh_seeds)
            trials = confirm_trials(self._study, chosen.cells, chosen.seeds)
            self._fresh_seeds = chosen.seeds
        search = Search(self._places.store_url, self._study, stage, trials)
        self._fleet.open(search.running(), stage)
        self._searches[stage], self._stage = search, stage

    def _rungs(self, running: Running) -> tuple[int, ...]:
        return rung_steps(self._study, running.recipe, running.stage)

    def _left_behind(self) -> str | None:
        while self._slots.left and not self._halted:
            running = self._fleet.find(self._slots.left.popleft())
            if running and running.attempt <= self._study.resources.retries:
                return running.name
            if running:
                self.failed(running.name, f"its worker process ended {running.attempt} times before it could report")
        return None

    def _record(self, running: Running, report: LaneReport, facts: Facts) -> None:
        spec, rung = running.specs[report.key], report.rung
        self._ledger.rung(spec, rung, facts)
        if report.grid_png is not None:
            self._ledger.grid(spec, report.grid_png, rung.step)
        self._spent.fid_checked(rung.metrics.get("torch_fidelity_difference"))
        if not report.diverged:
            steps = self._rungs(running)
            fid = rung.metrics[running.recipe.eval.objective_at(rung.step == steps[-1])]
            self._search.report(report.key, rung.step, steps.index(rung.step), fid)

    def _record_opening(self) -> None:
        if self._stage == "confirm":
            self._ledger.seeds_chosen(self._fresh_seeds)
        self._record_dropped()

    def _record_dropped(self) -> None:
        for spec in self._search.take_dropped():
            self._ledger.trial_finished(spec, "pruned", "never started: its configuration is out of the race")
        parked = {lane.trial.key: lane for lane in self._fleet.parked()}
        for key in sorted(self._search.out(parked)):
            self._finish(parked[key].trial, "pruned", STOPPED)
            self._fleet.drop(parked[key])

    def _leave(self, running: Running, key: str, state: TrialState, note: str, value: float | None = None) -> None:
        self._finish(running.specs[key], state, note, value)
        running.living.discard(key)

    def _finish(self, spec: TrialSpec, state: TrialState, note: str, value: float | None = None) -> None:
        self._ledger.trial_finished(spec, state, note, self._search.audited(spec.key))
        self._search.finish(spec.key, state, value)

    def _close(self, running: Running) -> None:
        self._spent.fid_not_checked(running.name)
        self._fleet.close(running)
