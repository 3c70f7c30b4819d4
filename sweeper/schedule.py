"""Ray places cohorts on cores and GPUs and starts them again when a worker dies; it decides and remembers nothing.

The one module that imports ray. Its own experiment state is never read back: every run builds a fresh Tuner from
what the desk knows.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Read by ray when it is imported.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.exceptions import RayActorError, RayTaskError  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from sweeper.desk import Desk, Places  # noqa: E402
from sweeper.errors import SetupError, StaleAttemptError, SweeperError  # noqa: E402
from sweeper.records import Assignment, Facts, LaneReport, Progress, Provenance, Stage  # noqa: E402
from sweeper.study import Resources, Study  # noqa: E402

log = logging.getLogger(__name__)

DeskActor = Any  # Ray makes an actor's methods at run time

CLOSE_TIMEOUT_S = 60.0
POLL_S = 1.0


class Outcome(NamedTuple):
    """How a run of a study ended; `delivered` says whether the ledger's store has everything."""

    progress: Progress
    interrupted: bool
    delivered: bool


def run_study(
    study: Study,
    stages: Sequence[Stage],
    places: Places,
    provenance: Provenance,
    ray_folder: Path,
    address: str | None,
    show: Callable[[Progress], None],
) -> Outcome:
    """Run every trial that is not decided yet; Ctrl-C stops cleanly and returns an interrupted outcome.

    `show` is called about once a second. Raises SetupError if Ray cannot be started or reached, or lacks what a
    cohort asks for.
    """
    with _ray(study.resources, address, ray_folder):
        slots = slot_count(study.resources)
        desk = _open_desk(study, stages, places, provenance)
        interrupted = True
        try:
            with _watching(desk, show):
                _fit(study.resources, slots, desk, ray_folder)
            interrupted = False
        except KeyboardInterrupt:
            log.info("interrupted")
        delivered: bool = _call(desk.close.remote(interrupted, CLOSE_TIMEOUT_S))
        progress: Progress = _call(desk.progress.remote())
        show(progress)
        return Outcome(progress, interrupted, delivered)


def slot_count(resources: Resources) -> int:
    """Return how many cohorts run at once on what the connected Ray has; raise SetupError if not even one can."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    fit = int(have.get("CPU", 0) // resources.cpus)
    if resources.gpus:
        fit = min(fit, int(have.get("GPU", 0) / resources.gpus + 1e-6))
    if fit < 1:
        asked = f"{resources.cpus} CPUs and {resources.gpus:g} GPUs"
        raise SetupError(
            f"a cohort asks for {asked}; there are {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs",
            "lower resources.cpus or resources.gpus, or give --address of a larger cluster",
        )
    return min(fit, resources.slots or fit)


@contextlib.contextmanager
def _ray(resources: Resources, address: str | None, folder: Path) -> Iterator[None]:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    scratch = None
    if address is None:
        # Unix sockets allow 107 bytes of path: Ray's files cannot lie in a workspace of any depth.
        scratch = tempfile.mkdtemp(prefix="sweeper-")
        cpus = resources.slots * resources.cpus if resources.slots else None
        options |= {"include_dashboard": False, "_temp_dir": scratch, "num_cpus": cpus, "address": "local"}
    else:
        options |= {"address": address}
    shutil.rmtree(folder, ignore_errors=True)
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = f"reach Ray at {address}" if address else "start Ray"
        raise SetupError(f"cannot {where}: {error}", "see `ray status`, or run without --address") from error
    try:
        yield
    finally:
        ray.shutdown()
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def _open_desk(study: Study, stages: Sequence[Stage], places: Places, provenance: Provenance) -> DeskActor:
    # Beside the driver, where the stores are; one call at a time, so a rung is judged as a whole.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Desk)
    options = {"num_cpus": 0, "max_concurrency": 1, "scheduling_strategy": here}
    desk = actor.options(**options).remote(study, list(stages), places, provenance)
    try:
        _call(desk.progress.remote())
    except RayActorError as error:
        raise SetupError(f"the desk could not start: {error}", "see the message above") from error
    return desk


@contextlib.contextmanager
def _watching(desk: DeskActor, show: Callable[[Progress], None]) -> Iterator[None]:
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(POLL_S):
            with contextlib.suppress(Exception):  # display only: a missed look is no failure
                show(_call(desk.progress.remote()))

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=10)


def _fit(resources: Resources, slots: int, desk: DeskActor, folder: Path) -> None:
    trainable = tune.with_parameters(_train_cohort, desk=desk)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_NextCohort(desk),
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
            callbacks=[_Deaths(desk, resources.retries)],
        ),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # Tune 2.60 prints its settings at every verbosity
        tuner.fit()


class _NextCohort(Searcher):
    """Tune's source of trials: the desk. A cohort's name is its whole configuration."""

    def __init__(self, desk: DeskActor) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        cohort: str | None = _call(self._desk.claim.remote())
        if cohort is not None:
            return {"cohort": cohort}
        return Searcher.FINISHED if _call(self._desk.done.remote()) else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Ignore it: the desk knows from the worker, or from `_Deaths`."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: Ray's state is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class _Deaths(tune.Callback):
    """Tell the desk of cohorts whose workers died more often than they are retried."""

    def __init__(self, desk: DeskActor, retries: int) -> None:
        self._desk, self._retries = desk, retries

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        reason = f"its worker process died {self._retries + 1} times"
        _call(self._desk.failed.remote(trial.config["cohort"], reason))


class _RayDesk:
    """The desk as a worker sees it."""

    def __init__(self, desk: DeskActor) -> None:
        self._desk = desk

    def begin(self, cohort: str) -> Assignment:
        assignment: Assignment = _call(self._desk.begin.remote(cohort))
        return assignment

    def started(self, cohort: str, attempt: int) -> None:
        _call(self._desk.started.remote(cohort, attempt))

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        survivors: frozenset[str] = _call(self._desk.report.remote(cohort, attempt, list(reports), facts, last))
        return survivors


def _call(reference: Any) -> Any:
    # Our own errors come back as they were raised; anything else keeps Ray's account of where it happened.
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause if isinstance(error.cause, (StaleAttemptError, SweeperError)) else error from None


def _train_cohort(config: dict[str, str], desk: DeskActor) -> None:
    from sweeper import worker

    client = _RayDesk(desk)
    assignment = client.begin(config["cohort"])
    worker.prepare_process(assignment.cpus)
    try:
        worker.run(client, assignment)
    except StaleAttemptError:
        return
    except Exception as error:
        # The same code on the same seed fails the same way again: an outcome, not something to retry.
        log.exception("cohort %s", assignment.cohort)
        reason = f"{type(error).__name__}: {error}"
        _call(desk.failed.remote(assignment.cohort, reason, assignment.attempt))
