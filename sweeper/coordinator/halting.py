"""A study that cannot go on through no fault of its trials: halted, with nothing judged and nobody blamed."""

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
    """Whether a study is halted, and by what: its first trouble."""

    def __init__(self, log: Path) -> None:
        """Errors that were not foreseen go to `log` with their trace."""
        self._log = log
        self.error: SweeperError | None = None

    def __bool__(self) -> bool:
        return self.error is not None

    @property
    def reason(self) -> str:
        """Why the study is halted; empty if it is not."""
        return self.error.message if self.error else ""

    def call(self, reason: str) -> None:
        """Halt the study, unless it is."""
        self.call_for(SetupError(reason, "repair that"))

    def call_for(self, error: Exception) -> None:
        """Halt the study, unless it is, for an error of whoever keeps its records or trains its trials."""
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
        """Halt the study where the block fails, and turn away whoever runs it then and later (StaleAttemptError).

        An error in there says that a store is full or gone, or that we are wrong; never that a trial is at fault.
        What is on disk is whole, and another run begins with that.
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
    """What has a study to halt."""

    @property
    def halting(self) -> Halt:
        """Whether it is halted."""


H = TypeVar("H", bound=Halting)


def or_halt(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Guard a whole method."""

    @functools.wraps(method)
    def guarded(halts: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with halts.halting.guarding():
            return method(halts, *args, **kwargs)

    return guarded
