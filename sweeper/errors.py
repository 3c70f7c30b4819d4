"""The errors that the command line reports, each class with its exit code, each error with a remedy."""

from __future__ import annotations

from sweeper.text.passwords import masked

CONTINUES = "run the same command again to continue"  # the remedy where a run ended early and nothing is lost


class SweeperError(Exception):
    """A failure that one clear message reports, without a traceback.

    `remedy` is one sentence saying what to do; the CLI prints it on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        # A library's message about an unreachable server quotes its URL, password included.
        self.message, self.remedy = masked(message), masked(remedy)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[SweeperError], tuple[str, str]]:
        # Exceptions with extra arguments lose them when pickled between Ray processes.
        return (type(self), (self.message, self.remedy))


class StudyError(SweeperError):
    """The study file, or an option that overrides it, is wrong."""

    exit_code = 2


class SetupError(SweeperError):
    """The environment lacks what the study asks for: a package, a GPU, a reachable server."""

    exit_code = 3


class UnavailableError(SetupError):
    """A store or server does not answer at the moment; a caller that can wait may retry."""


class DataError(SweeperError):
    """Data, weights or a checkpoint cannot be read or are not what they should be."""

    exit_code = 4


class ConflictError(SweeperError):
    """The workspace holds another study of this name, or another process is running it."""

    exit_code = 5


class StaleAttemptError(Exception):
    """A worker reports for an attempt that was replaced, or for a halted study; the worker stops silently.

    Never a user's mistake.
    """
