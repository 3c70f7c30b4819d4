"""Writing the ledger: every event goes to the outbox at once, and to MLflow as soon as MLflow accepts it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sweeper.errors import SetupError, SweeperError, UnavailableError
from sweeper.ledger import events
from sweeper.ledger.live_points import LivePoints
from sweeper.ledger.liveness import ensure_answers
from sweeper.ledger.mlflow_process import prepare_mlflow
from sweeper.ledger.outbox import Entry, Outbox
from sweeper.records import Facts, Provenance, Rung, TrialSpec, TrialState
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.text.passwords import masked
from trainer.runtime.files import FULL, write_whole

if TYPE_CHECKING:
    from sweeper.ledger.mlflow_writer import Tracker

_log = logging.getLogger(__name__)

REFUSALS_BEFORE_ASIDE = 5
FAILURES_BEFORE_WARNING = 3
TROUBLED_S, SLICE_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 0.5, 0.1, 30.0


class Ledger:
    """Record a study; no method waits for MLflow or fails because of it.

    A background thread imports mlflow, creates the database's tables on first use and delivers events in order. A
    failure is tried again with growing pauses, for ever, and across restarts. Only an event that keeps failing
    while other writes to the same store succeed is set aside (`<outbox>.rejected`), so that it cannot hold up the
    rest. Delivery is idempotent; a store that lost the study (or another one) gets everything from the beginning.
    """

    def __init__(
        self,
        uri: str,
        artifacts: Path | None,
        outbox: Path,
        study_name: str,
        clock: Callable[[], float] = time.time,
        wait_s: float = 60.0,
        at_once: bool = True,
        hopeless: Callable[[SweeperError], None] = lambda _: None,
        registration: Registration | None = None,
    ) -> None:
        """Own the outbox and start delivering what an earlier process left in it, unless that is left to `deliver`.

        `uri` is a database URL (sqlite:///...) or a tracking server's (http://...); `artifacts` is the folder of
        images and guides, None where the server chooses. The delivering thread calls `hopeless` once it knows that the
        store can never be written as it is: not for a silent server, but for a file that holds something else, an
        MLflow that cannot be imported, or records of another study than `registration`'s. Raises ConflictError when
        another ledger still holds the outbox after `wait_s` seconds, OSError where it cannot be written.
        """
        self._place = (uri, artifacts, study_name, registration)
        self._outbox, self.live = Outbox(outbox, wait_s), LivePoints()
        self._clock = clock
        self._trouble: str | None = None
        self._tracker: Tracker | None = None
        self._closing, self._hopeless, self._call_hopeless = threading.Event(), False, hopeless
        self._thread = threading.Thread(target=self._deliver_all, name="ledger", daemon=True)
        if at_once:
            self.deliver()

    def deliver(self) -> None:
        """Start delivering, if that was not done yet.

        MLflow's import and its tables take six seconds of a core, which a starting study needs for other things.
        """
        if self._thread.ident is None:
            self._thread.start()

    def study_opened(self, study: Study, provenance: Provenance, added: tuple[str, ...] = ()) -> None:
        """Begin a study, or continue it: the same parent run goes back to RUNNING.

        `added` says what was added to it after it had begun.
        """
        self._tell(events.StudyOpened(at_ms=self._now(), study=study, provenance=provenance, added=added))

    def study_told(self, study: Study) -> None:
        """Record a study as its file has it now, without opening it; fields that affect figures must be unchanged."""
        self._tell(events.StudyTold(at_ms=self._now(), study=study))

    def seeds_chosen(self, seeds: tuple[int, ...], looks: tuple[int, ...] = ()) -> None:
        """Record the seeds that the confirm stage may take, and after how many of them it is judged."""
        self._tell(events.SeedsChosen(at_ms=self._now(), seeds=seeds, looks=looks), durable=True)

    def trial_started(self, spec: TrialSpec, attempt: int) -> None:
        """Record that a worker begins or continues a trial; `attempt` counts from 1."""
        self._tell(events.TrialStarted(at_ms=self._now(), spec=spec, attempt=attempt))

    def rung(self, spec: TrialSpec, rung: Rung, facts: Facts) -> None:
        """Record a trial's metrics; the first report of a step is the one that counts."""
        self._tell(events.RungReached(at_ms=self._now(), spec=spec, rung=rung, facts=facts))

    def grid(self, spec: TrialSpec, png: bytes, step: int) -> None:
        """Record a trial's sample grid, shown by MLflow as the run's artifact samples.png."""
        write_whole(self._file(spec, events.GRID), png, durable=False)
        self._tell_file(spec, events.GRID, step)

    def weights(self, spec: TrialSpec, file: Path, step: int) -> None:
        """Record a trial's weights as the run's weights.safetensors: `file` is moved, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            file.replace(self._file(spec, events.WEIGHTS))
        self._tell_file(spec, events.WEIGHTS, step)

    def trial_finished(self, spec: TrialSpec, state: TrialState, note: str = "", audited: bool = False) -> None:
        """Record a trial's final state, also of one that was dropped before it started.

        `audited`: the pruner would have stopped it, but it ran on so that the pruner can be checked.
        """
        end = events.TrialFinished(at_ms=self._now(), spec=spec, state=state, note=note, audited=audited)
        self._tell(end, durable=True)

    def study_finished(self, provenance: Provenance, failed: bool = False) -> None:
        """Close the study with the provenance as it is now; `failed` where trials failed."""
        self._end("failed" if failed else "finished", provenance)

    def interrupted(self, provenance: Provenance) -> None:
        """Mark the study as stopped: its run is KILLED until it is opened again.

        Its unfinished trials stay RUNNING, as in the search: begun and undecided.
        """
        self._end("interrupted", provenance)

    def artifact(self, path: Path, files: Sequence[str] = ()) -> None:
        """Attach a file, or the named `files` of a folder, to the study under `guide/`, as they are when delivered."""
        self._tell(events.ArtifactMade(at_ms=self._now(), path=str(path.absolute()), files=tuple(files)))

    def guide_written(self, description: str, metrics: Mapping[str, float]) -> None:
        """Record what a guide says: the experiment's description, and figures of the study's own run."""
        self._tell(events.GuideWritten(at_ms=self._now(), description=description, metrics=dict(metrics)))

    @property
    def trouble(self) -> str | None:
        """Why delivery stands still at the moment; None while it goes on."""
        return self._trouble

    @property
    def rejected(self) -> int:
        """How many events were set aside in `<outbox>.rejected`, ever."""
        return self._outbox.rejected

    def messages(self) -> tuple[str, ...]:
        """Describe, for users, what keeps events from being delivered."""
        delayed = (f"recording is delayed: {self._trouble}",) if self._trouble else ()
        aside = (f"{self.rejected} events could not be recorded and lie in {self._outbox.path}.rejected",)
        return delayed + (aside if self.rejected else ())

    def flush(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for everything to be delivered; return whether it is.

        Returns sooner where delivery stands still: the next ledger delivers the rest.
        """
        self.deliver()
        begun = time.monotonic()
        while not self._hopeless:
            waited = time.monotonic() - begun
            patience = min(timeout, TROUBLED_S) if self._trouble else timeout
            if self._outbox.wait_until_empty(max(0.0, min(SLICE_S, patience - waited))):
                return True
            if waited >= patience:
                return False
        return self._outbox.wait_until_empty(0)

    def close(self, timeout: float = 10.0) -> bool:
        """Flush for up to `timeout` seconds and stop; return whether everything was delivered.

        What was not is delivered by the next ledger that opens the outbox, which can once a call to MLflow that is
        under way has ended.
        """
        empty = self.flush(0 if self._closing.is_set() else timeout)
        self._closing.set()
        self._outbox.stop_waiting()
        # A call to MLflow cannot be cut short; the thread is a daemon and its event is replayed if need be.
        self._thread.join(timeout=1.0)
        return empty

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def _folder(self) -> Path:
        return self._outbox.path.parent

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _file(self, spec: TrialSpec, name: str) -> Path:
        path = self._folder / events.trial_file(spec.key, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _tell_file(self, spec: TrialSpec, name: str, step: int) -> None:
        file = str(events.trial_file(spec.key, name))
        self._tell(events.FileMade(at_ms=self._now(), spec=spec, step=step, file=file))

    def _tell(self, event: events.AnyEvent, durable: bool = False) -> None:
        self._outbox.append(events.to_line(event), durable)

    def _end(self, end: events.StudyEnd, provenance: Provenance) -> None:
        self._tell(events.StudyEnded(at_ms=self._now(), end=end, provenance=provenance), durable=True)

    def _deliver_all(self) -> None:
        failures = refusals = 0
        while not self._closing.is_set():
            try:
                entry = self._outbox.first(timeout=self.live.interval_s)
                if self._tracker and not self._trouble:
                    self.live.deliver(self._tracker.log_live)
                if entry is None:
                    continue
                if refusals < REFUSALS_BEFORE_ASIDE:
                    self._deliver(entry)
                else:
                    self._set_aside(entry, self._trouble or "")
                self._trouble, failures, refusals = None, 0, 0
            except Exception as error:  # whatever a store or its transport raises, training goes on
                failures += 1
                refusals = refusals + 1 if self._is_refused(error, failures) else 0
                self._closing.wait(min(FIRST_PAUSE_S * 2 ** min(failures, 16), LONGEST_PAUSE_S))
        self._outbox.close()

    def _deliver(self, entry: Entry) -> None:
        """Deliver one entry and move the mark; raises whatever goes wrong."""
        if self._tracker is None:
            self._tracker = self._connect()
            return
        try:
            event = events.from_line(entry.line)
        except ValueError:  # nor will it become one
            self._set_aside(entry, "it is no event of this version")
            return
        if isinstance(event, events.FileMade):
            self._deliver_file(self._tracker, event)
        else:
            self._tracker.deliver(event)
        if not self._closing.is_set():  # else the outbox may have its next owner already; the event is replayed
            self._outbox.delivered(entry)

    def _deliver_file(self, tracker: Tracker, event: events.FileMade) -> None:
        file = self._folder / event.file
        if not file.exists():
            return  # a crash came between the delivery and the mark
        try:
            tracker.deliver_file(event, file)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # It would hold up the figures, which need less room; where it lies it is found as well.
            _log.warning("there is no room for a copy of %s, which stays there", file)
            return
        file.unlink()
        with contextlib.suppress(OSError):  # another file of the trial is there
            file.parent.rmdir()

    def _connect(self) -> Tracker:
        """Import mlflow and open the store, creating what is missing; takes seconds."""
        ensure_answers(self._place[0])
        try:
            prepare_mlflow()
            from sweeper.ledger.mlflow_writer import Tracker
        except ImportError as error:
            raise SetupError(f"MLflow cannot be imported: {error}", "install the packages again: make setup") from error
        tracker = Tracker(*self._place)
        if self._outbox.has_history and not tracker.knows_study():
            _log.warning("the tracking store has no run of this study: delivering everything again")
            self._outbox.rewind()
        return tracker

    def _is_refused(self, error: Exception, failures: int) -> bool:
        """Note a failure; return whether it is the event's own, as the store accepts other writes right after."""
        self._trouble = masked(error.message if isinstance(error, SweeperError) else f"{type(error).__name__}: {error}")
        if isinstance(error, SweeperError) and not isinstance(error, UnavailableError):
            self._hopeless = True
            self._call_hopeless(error)
        if failures == FAILURES_BEFORE_WARNING:
            _log.warning("recording is delayed, training goes on: %s", self._trouble)
        if self._tracker is None:
            return False
        self._tracker.forget()
        return self._tracker.accepts_writes()

    def _set_aside(self, entry: Entry, reason: str) -> None:
        _log.error("an event could not be recorded and was set aside in %s.rejected: %s", self._outbox.path, reason)
        self._outbox.set_aside(entry, reason)
