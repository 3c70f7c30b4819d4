"""Halting a study that cannot go on through no fault of its trials: no trial is judged or marked as failed."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sweeper.errors import SetupError, StaleAttemptError, SweeperError
from sweeper.text.passwords import masked

P = ParamSpec("P")
T = TypeVar("T")


class Halt:
    """Whether a study is halted, and why: the first error that halted it."""

    def __init__(self, log: Path) -> None:
        """Unexpected errors go to `log` with their traceback."""
        self._log = log
        self.error: SweeperError | None = None

    def __bool__(self) -> bool:
        return self.error is not None

    @property
    def reason(self) -> str:
        """Why the study is halted; empty if it is not."""
        return self.error.message if self.error else ""

    def call(self, reason: str) -> None:
        """Halt the study, unless it is halted already."""
        self.call_for(SetupError(reason, "fix the cause"))

    def call_for(self, error: Exception) -> None:
        """Halt the study for an error in recording or training, unless it is halted already."""
        if isinstance(error, SweeperError):
            self.error = self.error or type(error)(masked(error.message), error.remedy)
            return
        self.call(f"{type(error).__name__}: {error}")
        if not isinstance(error, OSError):
            with contextlib.suppress(OSError):
                self.write("halted", "".join(traceback.format_exception(error)))

    def write(self, what: str, trace: str) -> None:
        """Append to the log; raise OSError where that is not possible."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(masked(f"{what}\n{trace}\n"))

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Halt the study if the block fails, and raise StaleAttemptError for this caller and every later one.

        An error in the block means that a store is full or gone, or a bug of ours; never that a trial is at fault.
        The files on disk are consistent, and the next run starts from them.
        """
        if self:
            raise StaleAttemptError(f"the study was halted: {self.reason}")
        try:
            yield
        except StaleAttemptError:
            raise
        except Exception as error:
            self.call_for(error)
            raise StaleAttemptError(f"the study was halted: {self.reason}") from error


class Halting(Protocol):
    """An object whose methods can halt a study."""

    @property
    def halting(self) -> Halt:
        """Its halt."""


H = TypeVar("H", bound=Halting)


def or_halt(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Wrap a method in `Halt.guarding`."""

    @functools.wraps(method)
    def guarded(halts: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with halts.halting.guarding():
            return method(halts, *args, **kwargs)

    return guarded
