"""Output to the terminal: control characters are escaped, passwords masked."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from sweeper.text.untrusted import inert
from sweeper.text.verbosity import forget_verbosity, set_verbosity, shows_progress

if TYPE_CHECKING:
    from sweeper.commands.progress import Show


@contextmanager
def log_inertly() -> Iterator[None]:
    """Print log messages, ours and libraries', through the same escaping as all other output."""
    with warnings.catch_warnings():
        set_verbosity()
        if logging.lastResort:  # what Python prints warnings with, as nothing else is configured
            logging.lastResort.setFormatter(Inert())
        try:
            yield
        finally:
            forget_verbosity()
            logging.captureWarnings(False)
            if logging.lastResort:
                logging.lastResort.setLevel(logging.WARNING)
            root = logging.getLogger()
            root.handlers = [handler for handler in root.handlers if not isinstance(handler.formatter, Inert)]


def log_errors_alone() -> None:
    """Print no warning, neither Python's nor a logger's."""
    warnings.simplefilter("ignore")
    if logging.lastResort:
        logging.lastResort.setLevel(logging.ERROR)


def log_everything() -> None:
    """Print what our packages log, and warnings of libraries, each with its time and origin."""
    handler = Stderr()
    handler.setFormatter(Inert("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    warnings.simplefilter("default")


class Stderr(logging.Handler):
    """Prints to whatever stderr is at that time: a live display puts its own in its place, to print above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print(self.format(record), file=sys.stderr, flush=True)


class Inert(logging.Formatter):
    """Escapes what a message brings along."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return inert(super().format(record))


@contextmanager
def progress_display() -> Iterator[Show]:
    """Give what shows progress on stderr, and nothing where nobody wants it."""
    if not shows_progress():
        yield lambda _: None
        return
    from rich.console import Console

    from sweeper.commands.progress import display

    with display(Console(stderr=True)) as show:
        yield show


def say(text: str) -> None:
    """Print a line of progress to stderr, unless nobody wants it."""
    if shows_progress():
        insist(text)


def insist(text: str) -> None:
    """Print an error to stderr, or a question, whatever the user has asked for."""
    typer.echo(inert(text), err=True)


def tell(text: str, nl: bool = True) -> None:
    """Print a command's result to stdout."""
    typer.echo(inert(text), nl=nl)


def answer(found: object, text: Callable[[], str], as_json: bool, nl: bool = True) -> None:
    """Print what a command found: as JSON, and then stdout holds nothing else, or as text."""
    from sweeper.text.as_json import to_json

    tell(to_json(found)) if as_json else tell(text(), nl=nl)
