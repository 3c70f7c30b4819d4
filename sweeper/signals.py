"""Signals that stop a command, handled from its first line to its last."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import ClassVar, NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_AGAIN_S = 0.05

Unraisable = Callable[["sys.UnraisableHookArgs"], object]


class StoppedError(KeyboardInterrupt):
    """The process was asked to stop, by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class OutsideImports:
    """A signal handler that waits while an import is running, checking by alarm until none is.

    An exception raised inside an import may surface in the C++ of a package that imports others, as torch does, which
    ends the process with SIGABRT or SIGSEGV.
    """

    waiting: ClassVar[int] = 0  # a process has one such signal, whichever handler is installed by the time it acts

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act = act

    def install(self) -> None:
        """Take over the signals that ask a process to stop, and the alarm that this handler sets itself."""
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup ignores SIGHUP
                signal.signal(number, self)
        signal.signal(signal.SIGALRM, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Act on a signal, or remember the first that arrives during an import."""
        if number != signal.SIGALRM:
            OutsideImports.waiting = OutsideImports.waiting or number
        if is_importing(frame):
            _look_again()
        else:
            self.act()

    def act(self) -> None:
        """Act on the remembered signal, if there is one."""
        number, OutsideImports.waiting = OutsideImports.waiting, 0
        if number:
            self._act(number)


def end_process(code: int) -> NoReturn:
    """End this process at once, with this exit code, whatever signal comes meanwhile.

    Registered exit functions run; Python's own end does not: threads of torch and Ray outlive it. One of 18 interrupted
    runs ended by SIGSEGV with nothing from Python's fault handler, so most likely there.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a reader that went away, or a stream that is closed
            stream.flush()
    os._exit(code)


def is_importing(frame: FrameType | None) -> bool:
    """Return whether a frame is part of an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError for a signal that asks this process to stop, so that open resources are closed."""
    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
    handler, hook = OutsideImports(_stop), sys.unraisablehook
    handler.install()
    sys.unraisablehook = _not_swallowed(hook)
    try:
        yield
        handler.act()
    finally:
        sys.unraisablehook = hook
        signal.setitimer(signal.ITIMER_REAL, 0)
        OutsideImports.waiting = 0
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _look_again() -> None:
    signal.setitimer(signal.ITIMER_REAL, LOOK_AGAIN_S)


def _not_swallowed(hook: Unraisable) -> Unraisable:
    """Return a hook that raises again what Python drops in a finaliser or a C callback, such as after a fork."""

    def raised_again(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, StoppedError):
            OutsideImports.waiting = unraisable.exc_value.number
            _look_again()
        else:
            hook(unraisable)

    return raised_again


def _stop(number: int) -> None:
    raise StoppedError(number)
