"""A proxy for the coordinator's process: calls return plain values and raise our own errors unwrapped."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from sweeper.errors import CONTINUES, SetupError, StaleAttemptError, SweeperError
from sweeper.records import Facts
from sweeper.worker.messages import Assignment, Heartbeat, LaneReport

CoordinatorActor = Any  # Ray makes an actor's methods at run time
ASIDE = "aside"  # the coordinator's second thread
ASIDE_S = 5.0


def aside(method: Any) -> Any:
    """Call a method of the coordinator that any thread may call, even while another call runs."""
    return call(method.options(concurrency_group=ASIDE).remote(), ASIDE_S)


def call(reference: Any, timeout: float | None = None, otherwise: Any = None) -> Any:
    """Wait for an answer, `otherwise` if none comes in time; raise SetupError if the coordinator's process is gone."""
    try:
        return ray.get(reference, timeout=timeout)
    except GetTimeoutError:
        return otherwise
    except RayTaskError as error:
        raise error.cause if isinstance(error.cause, (StaleAttemptError, SweeperError, OSError)) else error from None
    except RayError as error:
        raise SetupError(
            f"the process that keeps the study's records stopped: {first_line(error)}", CONTINUES
        ) from error


def first_line(error: RayError) -> str:
    """Return Ray's own first line; it goes on for pages."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def last_line(error: Exception) -> str:
    """Return the last line of a traceback that is kept as text: what was raised."""
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)


class CoordinatorProxy:
    """The coordinator as a worker sees it."""

    def __init__(self, coordinator: CoordinatorActor) -> None:
        self._coordinator = coordinator

    def enter(self, slot: int) -> int:
        """Register this worker in a slot and return its number there."""
        life: int = call(self._coordinator.enter.remote(slot))
        return life

    def next(self, slot: int, life: int) -> Assignment | None:
        """Return what to train next; None if there is nothing now."""
        assignment: Assignment | None = call(self._coordinator.next.remote(slot, life))
        return assignment

    def done(self) -> bool:
        """Whether there will be nothing more to train."""
        done: bool = call(self._coordinator.done.remote())
        return done

    def started(self, cohort: str, attempt: int, facts: Facts) -> None:
        """Report that training begins, and on what."""
        call(self._coordinator.started.remote(cohort, attempt, facts))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Report what this worker is doing; do not wait, and do not fail if nobody listens."""
        with contextlib.suppress(RayError):
            self._coordinator.beat.options(concurrency_group=ASIDE).remote(heartbeat)

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        """Record a rung and return the survivors' keys."""
        survivors: frozenset[str] = call(self._coordinator.report.remote(cohort, attempt, list(reports), facts, last))
        return survivors

    def parts(self, cohort: str, attempt: int, step: int) -> bool:
        """Whether the survivors of a rung are to be parked instead of trained on here."""
        parts: bool = call(self._coordinator.parts.remote(cohort, attempt, step))
        return parts

    def park(self, cohort: str, attempt: int, step: int) -> None:
        """Give the saved survivors of a rung back to the coordinator."""
        call(self._coordinator.park.remote(cohort, attempt, step))

    def failed(self, cohort: str, reason: str, attempt: int, trace: str) -> None:
        """Report that the cohort's training raised an error of its own."""
        call(self._coordinator.failed.remote(cohort, reason, attempt, trace))

    def halt(self, cohort: str, reason: SweeperError, attempt: int) -> None:
        """Report that this machine cannot go on, through no fault of the trials."""
        call(self._coordinator.halt.remote(cohort, reason, attempt))
