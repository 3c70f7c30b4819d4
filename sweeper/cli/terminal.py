"""Output to the terminal: control characters are escaped, and an error is printed as one message."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from sweeper import signals
from sweeper.errors import SetupError, SweeperError
from sweeper.text.untrusted import inert


@contextmanager
def clean_errors() -> Iterator[None]:
    """Print an error as a message and its remedy, and exit with its code."""
    try:
        yield
    except SweeperError as error:
        say(f"error: {error.message}")
        if error.remedy:
            say(f"  {error.remedy}")
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
        sys.exit(SetupError.exit_code)
    except Exception:  # a bug of ours; Python's own traceback could contain a password
        say(traceback.format_exc().rstrip())
        sys.exit(1)


@contextmanager
def stoppable(command: str) -> Iterator[None]:
    """Exit with the code of whatever signal arrives, and print the command that continues the run."""
    try:
        with signals.stoppable():
            yield
    except KeyboardInterrupt as stop:
        say(f"interrupted; to continue, run: {command}")
        raise typer.Exit(128 + getattr(stop, "number", signal.SIGINT)) from None


def log_inertly() -> None:
    """Print log messages, ours and libraries', through the same escaping as all other output."""

    class Inert(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return inert(super().format(record))

    if logging.lastResort:  # what Python prints warnings with, as nothing else is configured
        logging.lastResort.setFormatter(Inert())


def say(text: str) -> None:
    """Print a line of progress or an error, to stderr."""
    typer.echo(inert(text), err=True)


def tell(text: str, nl: bool = True) -> None:
    """Print a command's result to stdout."""
    typer.echo(inert(text), nl=nl)


def answer(found: object, text: Callable[[], str], as_json: bool, nl: bool = True) -> None:
    """Print what a command found: as JSON, and then stdout holds nothing else, or as text."""
    from sweeper.text.as_json import to_json

    tell(to_json(found)) if as_json else tell(text(), nl=nl)
