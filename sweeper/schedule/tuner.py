"""Ray Tune over the desk's cohorts: one Tune trial a cohort, its worker kept for the next, deaths retried."""

from __future__ import annotations

import contextlib
import io
import time
import traceback
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from sweeper.errors import StaleAttemptError
from sweeper.schedule.interrupts import Interrupts
from sweeper.schedule.line import DeskActor, DeskLine, call
from sweeper.study import Resources

IDLE_S = 0.2  # between questions to the desk while it has nothing to give


def fit(resources: Resources, slots: int, desk: DeskActor, folder: Path, interrupts: Interrupts) -> None:
    """Run cohorts until the desk has none left, or until it is interrupted (KeyboardInterrupt)."""
    trainable = tune.with_parameters(train_cohort, desk=desk)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=NextCohort(desk, interrupts),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="study",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            callbacks=[Deaths(desk, resources.retries)],
        ),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # Tune 2.60 prints its settings at every verbosity
        tuner.fit()


class NextCohort(Searcher):
    """Tune's source of trials: the desk. A cohort's name is its whole configuration."""

    def __init__(self, desk: DeskActor, interrupts: Interrupts) -> None:
        super().__init__()
        self._desk, self._interrupts = desk, interrupts

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002 (Tune's signature)
        """Return the next cohort, None if there is none at the moment, or Tune's word for the end."""
        self._interrupts.check()
        cohort: str | None = call(self._desk.claim.remote())
        if cohort is not None:
            return {"cohort": cohort}
        if call(self._desk.done.remote()):
            return Searcher.FINISHED
        time.sleep(IDLE_S)
        return None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Ignore it: the desk knows from the worker, or from `Deaths`."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: Ray's state is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class Deaths(tune.Callback):
    """Tell the desk of cohorts whose workers died more often than they are retried."""

    def __init__(self, desk: DeskActor, retries: int) -> None:
        self._desk, self._retries = desk, retries

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """Record the cohort as failed."""
        reason = f"its worker process ended {self._retries + 1} times before it could report"
        call(self._desk.failed.remote(trial.config["cohort"], reason))


def train_cohort(config: dict[str, str], desk: DeskActor) -> None:
    """Train one cohort in this process; an error of its own is an outcome, a sick machine stops the study."""
    from sweeper import worker

    line = DeskLine(desk)
    assignment = line.begin(config["cohort"])
    if assignment is None:
        return
    try:
        worker.prepare_process(assignment)
        worker.run(line, assignment)
    except StaleAttemptError:
        return
    except worker.MACHINE_ERRORS as error:
        line.halt(assignment.cohort, f"{type(error).__name__}: {error}", assignment.attempt)
    except Exception as error:
        # The same code on the same seed fails the same way again: an outcome, nothing to retry.
        line.failed(assignment.cohort, f"{type(error).__name__}: {error}", assignment.attempt, traceback.format_exc())
