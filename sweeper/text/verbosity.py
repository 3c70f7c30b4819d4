"""How much goes to stderr, as levels of logging: progress, our own log lines and warnings of libraries."""

from __future__ import annotations

import logging

PROGRESS = 25  # between INFO and WARNING: what the command line prints while it works
PACKAGES = ("sweeper", "trainer")


def set_verbosity(quiet: bool = False, verbose: bool = False) -> None:
    """Let errors alone through, or all that our packages log; with neither, progress and warnings."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else PROGRESS
    for name in PACKAGES:
        logging.getLogger(name).setLevel(level)


def forget_verbosity() -> None:
    """Leave it to whoever configures logging, as it is in a script."""
    for name in PACKAGES:
        logging.getLogger(name).setLevel(logging.NOTSET)


def shows_progress() -> bool:
    """Whether progress is printed."""
    return logging.getLogger("sweeper").isEnabledFor(PROGRESS)


def is_verbose() -> bool:
    """Whether all is printed that our packages log, and what libraries warn of."""
    return logging.getLogger("sweeper").isEnabledFor(logging.DEBUG)


def limit_library(name: str) -> None:
    """Let a library log errors alone or, where all is printed, warnings too, through the handler of our own lines.

    Its own handler would print addresses with their passwords.
    """
    logger = logging.getLogger(name)
    if is_verbose():
        logger.handlers.clear()
        logger.propagate = True
    logger.setLevel(logging.WARNING if is_verbose() else logging.ERROR)
