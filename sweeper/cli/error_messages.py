"""What is printed when a command fails or is stopped: one message and a remedy, a traceback only for a bug of ours."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sweeper import signals
from sweeper.cli.terminal import insist
from sweeper.errors import SetupError, SweeperError


@contextmanager
def clean_errors() -> Iterator[None]:
    """Print an error as a message and its remedy, and exit with its code."""
    try:
        yield
    except SweeperError as error:
        insist(f"error: {error.message}")
        if error.remedy:
            insist(f"  {error.remedy}")
        sys.exit(error.exit_code)
    except OSError as error:
        insist(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
        sys.exit(SetupError.exit_code)
    except Exception:  # a bug of ours: `insist` masks passwords, Python's own traceback would not
        insist(traceback.format_exc().rstrip())
        sys.exit(1)


@contextmanager
def stoppable(command: str) -> Iterator[None]:
    """Exit with the code of whatever signal arrives, and print the command that continues the run."""
    try:
        with signals.stoppable():
            yield
    except KeyboardInterrupt as stop:
        insist(f"interrupted; to continue, run: {command}")
        raise typer.Exit(128 + getattr(stop, "number", signal.SIGINT)) from None
