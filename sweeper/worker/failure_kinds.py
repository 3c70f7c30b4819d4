"""Classify errors: a trial's own, which fails the trial, or the machine's, which halts the study."""

from __future__ import annotations

from sweeper import errors
from sweeper.errors import SweeperError
from trainer.errors import CompilerError, DataError
from trainer.runtime import process

# Errors that, like exhausted memory, say nothing about a trial: full disks, missing files.
MACHINE_ERRORS = (OSError, DataError, CompilerError, SweeperError)


def blames_machine(error: BaseException) -> bool:
    """Whether an error says nothing about a trial: then the study stops, and can be continued."""
    return isinstance(error, MACHINE_ERRORS) or process.is_out_of_memory(error)


def halting_error(error: BaseException) -> SweeperError:
    """Return the error that halts a study for a fault of its machine; unreadable data has its own class."""
    if isinstance(error, SweeperError):
        return error
    if isinstance(error, DataError):
        return errors.DataError(str(error), "restore the data")
    if isinstance(error, CompilerError):
        return errors.SetupError(str(error), "install g++, or name a C++ compiler in CXX, where the study runs")
    return errors.SetupError(f"{type(error).__name__}: {error}", "fix the cause")
