"""Ray Tune over slots: one Tune trial a slot, whose worker trains one of the coordinator's cohorts after another.

Not one Tune trial a cohort: Tune 2.60 keeps every trial it ever had (19 KiB each), writes all of them down every ten
seconds, and takes a tenth of a second between two of them.
"""

from __future__ import annotations

import contextlib
import io
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.search import Searcher

from sweeper.errors import SetupError, StaleAttemptError
from sweeper.placement.coordinator_proxy import CoordinatorActor, CoordinatorProxy, call
from sweeper.placement.interrupts import Interrupts
from sweeper.placement.worker_logs import LinesActor, forward
from sweeper.study import Resources
from sweeper.worker.messages import Assignment

IDLE_S = 0.2  # between a slot's questions to the coordinator while it has nothing to give


def run_slots(
    resources: Resources,
    slots: int,
    coordinator: CoordinatorActor,
    folder: Path,
    interrupts: Interrupts,
    lines: LinesActor | None = None,
) -> None:
    """Run cohorts until none is left, or the run is interrupted (KeyboardInterrupt) or halted (HaltedError).

    Workers send `lines` what they log.
    """
    trainable = tune.with_parameters(train_in_slot, coordinator=coordinator, lines=lines)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=FreeSlots(coordinator, slots),
            num_samples=-1,
            max_concurrent_trials=slots,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="study",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=-1),  # the coordinator counts retries
            callbacks=[DeathsAndStops(coordinator, interrupts)],
        ),
    )
    # Tune 2.60 prints its settings at every verbosity.
    with contextlib.redirect_stdout(io.StringIO()), _credentials_kept():
        tuner.fit()


@contextlib.contextmanager
def _credentials_kept() -> Iterator[None]:
    """Keep the driver's AWS credentials from its workers, which need none.

    Tune 2.60 sends them in every trial's runtime environment, which a cluster's nodes write into their logs.
    """
    theirs = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in theirs if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = theirs


class FreeSlots(Searcher):
    """Tune's source of trials: the slots in which no worker is, as long as the coordinator is not done."""

    def __init__(self, coordinator: CoordinatorActor, slots: int) -> None:
        super().__init__()
        self._coordinator, self._free = coordinator, list(range(slots))
        self._taken: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return a free slot, None if there is none, or Tune's word for the end."""
        if call(self._coordinator.done.remote()):
            return Searcher.FINISHED
        if not self._free:
            return None
        self._taken[trial_id] = self._free.pop(0)
        return {"slot": self._taken[trial_id]}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:  # noqa: ARG002
        """Take the slot back, from a worker that could not even start (Tune retries the others) or has ended."""
        if trial_id in self._taken:
            self._free.append(self._taken.pop(trial_id))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: Ray's state is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class DeathsAndStops(tune.Callback):
    """Report workers that died to the coordinator, and end the run when it was asked to stop or was halted."""

    def __init__(self, coordinator: CoordinatorActor, interrupts: Interrupts) -> None:
        self._coordinator, self._interrupts = coordinator, interrupts

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Check for Ctrl-C and errors; Tune's loop calls this ten times a second."""
        self._interrupts.check()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Report a worker that Tune replaces; end the run if the coordinator died."""
        try:
            call(self._coordinator.died.remote(trial.config["slot"]))
        except SetupError as error:  # raised from here, Tune 2.60 would wrap it into pages of its own
            self._interrupts.lost = self._interrupts.lost or error.message

    on_trial_error = on_trial_recover


def train_in_slot(config: dict[str, int], coordinator: CoordinatorActor, lines: LinesActor | None) -> None:
    """Train one cohort after another in this process until none is left, or another worker has the slot."""
    forward(lines)
    slot, line = config["slot"], CoordinatorProxy(coordinator)
    with contextlib.suppress(StaleAttemptError):
        life = line.enter(slot)
        while True:
            assignment = line.next(slot, life)
            if assignment is not None:
                _train(line, assignment)
            elif line.done():
                return
            else:
                time.sleep(IDLE_S)


def _train(line: CoordinatorProxy, assignment: Assignment) -> None:
    """Train one cohort; an error in training is an outcome, a fault of the machine halts the study.

    A card that failed is raised: Tune gives the slot another process, as often as the coordinator hands the cohort out.
    """
    from sweeper.worker import cohort_run
    from sweeper.worker import failure_kinds as faults
    from trainer.runtime.process import has_lost_device

    try:
        cohort_run.prepare_process(assignment)
        cohort_run.run(line, assignment)
    except StaleAttemptError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if faults.blames_machine(error):
            line.halt(assignment.cohort, faults.halting_error(error), assignment.attempt)
        elif has_lost_device(error):
            raise
        else:
            # The same code on the same seed fails the same way again: nothing to retry.
            line.failed(assignment.cohort, reason, assignment.attempt, traceback.format_exc())
