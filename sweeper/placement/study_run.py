"""One run of a study on Ray: start coordinator and Tuner, show progress, and clean up however the run ends."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.tune.error import TuneError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.coordinator.paths import Paths
from sweeper.errors import CONTINUES, SetupError, SweeperError
from sweeper.placement.compiled_sampling import with_choice
from sweeper.placement.coordinator_proxy import ASIDE, CoordinatorActor, aside, call, first_line, last_line
from sweeper.placement.interrupts import HaltedError, Interrupts
from sweeper.placement.lane_count import lanes_for
from sweeper.placement.ray_session import session, slot_count
from sweeper.placement.speaking_coordinator import SpeakingCoordinator
from sweeper.placement.tuner import run_slots
from sweeper.placement.worker_logs import LinesActor, worker_logs
from sweeper.records import Progress, Provenance, Stage
from sweeper.study import Study

CLOSE_TIMEOUT_S = 60.0  # of a finished study; after an interrupt we wait less
STOP_TIMEOUT_S = 5.0
POLL_S = 1.0


class Outcome(NamedTuple):
    """How a run ended: by which signal (0: none), whether the ledger's store has everything, and what halted it."""

    interrupted: int
    delivered: bool
    halted: SweeperError | None


def run_study(
    study: Study,
    stages: Sequence[Stage],
    paths: Paths,
    provenance: Provenance,
    address: str | None,
    show: Callable[[Progress], object],
    retry: bool = False,
) -> Outcome:
    """Run every trial that is not decided yet; Ctrl-C, SIGTERM and SIGHUP stop cleanly with an interrupted outcome.

    `show` is called about once a second. With `retry`, trials that failed run again. Raises SetupError if Ray cannot
    be started or reached, lacks what a cohort asks for, or stops; StudyError, ConflictError or DataError for what the
    coordinator finds when it opens the study.
    """
    folder = paths.folder / "ray"
    shutil.rmtree(folder, ignore_errors=True)
    with session(study.resources, address) as interrupts, contextlib.ExitStack() as logs:
        slots = slot_count(study.resources)
        paths = with_choice(study, paths, slots)
        lanes = lanes_for(study, paths)
        lines = logs.enter_context(worker_logs())
        coordinator = _open_coordinator(study, stages, paths, provenance, lanes, retry, lines)
        interrupted = 0
        try:
            with interrupts.unwrapped(), _showing_progress(coordinator, show, interrupts):
                run_slots(study.resources, slots, coordinator, folder, interrupts, lines)
        except HaltedError:
            pass  # the coordinator says why
        except KeyboardInterrupt:
            interrupted = interrupts.number
        except RayError as error:
            interrupts.check()
            raise SetupError(f"Ray stopped: {first_line(error)}", CONTINUES) from error
        except TuneError as error:  # of whatever a callback of ours raised, as text
            interrupts.check()
            raise SetupError(f"Ray Tune stopped: {last_line(error)}", CONTINUES) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return _close(coordinator, interrupted)


def _open_coordinator(
    study: Study,
    stages: Sequence[Stage],
    paths: Paths,
    provenance: Provenance,
    lanes: int,
    retry: bool,
    lines: LinesActor | None,
) -> CoordinatorActor:
    # Beside the driver, where the stores are; one call at a time, so a rung is judged as a whole. A second thread
    # answers what may be asked while a call waits for a store.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    made: Any = ray.remote
    actor = made(num_cpus=0, max_concurrency=1, concurrency_groups={ASIDE: 1})(SpeakingCoordinator)
    coordinator = actor.options(scheduling_strategy=here).remote(
        study, list(stages), paths, provenance, lanes, retry=retry, lines=lines
    )
    call(coordinator.open.remote())
    return coordinator


def _close(coordinator: CoordinatorActor, interrupted: int) -> Outcome:
    timeout = STOP_TIMEOUT_S if interrupted else CLOSE_TIMEOUT_S
    if interrupted:
        aside(coordinator.give_up)
    delivered: bool = call(
        coordinator.close.remote(bool(interrupted), timeout), timeout + STOP_TIMEOUT_S, otherwise=False
    )
    return Outcome(interrupted, delivered, aside(coordinator.halted))


@contextlib.contextmanager
def _showing_progress(
    coordinator: CoordinatorActor, show: Callable[[Progress], object], interrupts: Interrupts
) -> Iterator[None]:
    """Show progress once a second, and say when the coordinator halts."""
    stop = threading.Event()

    def look() -> None:
        seen: Progress | None = None
        asked: Any = None
        while not stop.wait(POLL_S):
            with contextlib.suppress(Exception):  # display only: a missed look is no failure
                interrupts.halted = bool(aside(coordinator.halted))
                asked = asked or coordinator.progress.remote()
                if ray.wait([asked], timeout=POLL_S)[0]:  # else a call waits for a store
                    seen, asked = call(asked), None
                waits = aside(coordinator.waits_for)
                if seen:
                    show(seen.model_copy(update={"messages": seen.messages + ((waits,) if waits else ())}))

    display = threading.Thread(target=look, name="progress", daemon=True)
    display.start()
    try:
        yield
    finally:
        stop.set()
        display.join(timeout=2)
