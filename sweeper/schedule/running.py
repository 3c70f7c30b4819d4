"""One run of a study on Ray: desk and Tuner, progress meanwhile, a clean end however it ends."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.desk import Desk
from sweeper.errors import SetupError
from sweeper.places import Places
from sweeper.records import Progress, Provenance, Stage
from sweeper.schedule.filling import lanes_for
from sweeper.schedule.line import DeskActor, call
from sweeper.schedule.session import session, slot_count
from sweeper.schedule.tuner import fit
from sweeper.study import Study

CLOSE_TIMEOUT_S = 60.0
POLL_S = 1.0


class Outcome(NamedTuple):
    """How a run ended: interrupted or not, whether the ledger's store has everything, and what halted it."""

    interrupted: bool
    delivered: bool
    halted: str


def run_study(
    study: Study,
    stages: Sequence[Stage],
    places: Places,
    provenance: Provenance,
    address: str | None,
    show: Callable[[Progress], None],
) -> Outcome:
    """Run every trial that is not decided yet; Ctrl-C (or SIGTERM) stops cleanly with an interrupted outcome.

    `show` is called about once a second. Raises SetupError if Ray cannot be started or reached, lacks what a cohort
    asks for, or stops; StudyError, ConflictError or DataError for what the desk finds when it opens the study.
    """
    folder = places.folder / "ray"
    shutil.rmtree(folder, ignore_errors=True)
    with session(study.resources, address) as interrupts:
        slots = slot_count(study.resources)
        desk = _open_desk(study, stages, places, provenance, lanes_for(study, places))
        interrupted = False
        try:
            with _watching(desk, show):
                fit(study.resources, slots, desk, folder, interrupts)
        except KeyboardInterrupt:
            interrupted = True
        except RayError as error:
            raise SetupError(f"Ray stopped: {error}", "the same command continues") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        halted: str = call(desk.halted.remote())
        delivered: bool = call(desk.close.remote(interrupted or bool(halted), CLOSE_TIMEOUT_S))
        return Outcome(interrupted, delivered, halted)


def _open_desk(study: Study, stages: Sequence[Stage], places: Places, provenance: Provenance, lanes: int) -> DeskActor:
    # Beside the driver, where the stores are; one call at a time, so a rung is judged as a whole.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Desk)
    options = {"num_cpus": 0, "max_concurrency": 1, "scheduling_strategy": here}
    desk = actor.options(**options).remote(study, list(stages), places, provenance, lanes)
    call(desk.open.remote())
    return desk


@contextlib.contextmanager
def _watching(desk: DeskActor, show: Callable[[Progress], None]) -> Iterator[None]:
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(POLL_S):
            with contextlib.suppress(Exception):  # display only: a missed look is no failure
                show(call(desk.progress.remote()))

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(timeout=10)
