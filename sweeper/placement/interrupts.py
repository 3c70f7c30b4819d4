"""Ctrl-C, SIGTERM and SIGHUP that cannot get lost while a study runs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Collection, Iterator
from typing import Any

import ray
from ray._private import state, utils, worker

from sweeper.errors import SetupError
from sweeper.signals import OutsideImports, StoppedError


class HaltedError(Exception):
    """The coordinator has halted the study; workers that train on would be turned away."""


@contextlib.contextmanager
def own_handlers() -> Iterator[None]:
    """Keep our handler of SIGTERM while Ray starts, which takes seconds.

    Ray 2.60 replaces it twice: as it begins, by one that ends the process with exit code 15 and without a word, and
    below Python, as it connects, by one of C++ that prints a stack and ends the process by SIGABRT three seconds later.
    """
    take_over, connect = utils.set_sigterm_handler, worker.connect

    def connect_undisturbed(*args: Any, **kwargs: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return connect(*args, **kwargs)
        finally:
            _take_back(before)

    utils.set_sigterm_handler, worker.connect = (lambda _: None), connect_undisturbed
    try:
        yield
    finally:
        utils.set_sigterm_handler, worker.connect = take_over, connect


def shut_down() -> None:
    """Shut Ray down, and keep our handler of SIGTERM.

    Ray 2.60's C++ leaves the signal to its default action as its driver ends: the process would end without a word
    while its guide is written. The first thing that Ray does after that is to disconnect its global state.
    """
    known: Any = state.state
    disconnect = known.disconnect
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def disconnect_undisturbed() -> None:
        _take_back(before)
        disconnect()

    known.disconnect = disconnect_undisturbed
    try:
        ray.shutdown()
    finally:
        known.disconnect = disconnect
        _take_back(before)


def _take_back(blocked: Collection[int]) -> None:
    """Install our handler of SIGTERM below Python once more, and block the signals again that were blocked before."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class Interrupts:
    """Remembers why the run is to stop: a signal (its `number`), a study that was `halted`, or a Ray that was `lost`.

    Python drops a KeyboardInterrupt that happens to be raised inside a finaliser or a callback of C code, of which Ray
    has many; whoever calls `check` now and then raises it again.
    """

    def __init__(self) -> None:
        self.number = 0
        self.halted = False
        self.lost = ""

    def install(self) -> None:
        """Take the signals over from `sweeper.signals.stoppable`, whose handler does not know of a halted study."""
        OutsideImports(self._ask).install()

    def check(self) -> None:
        """Raise SetupError, KeyboardInterrupt or HaltedError if the run was asked to stop."""
        if self.lost:
            raise SetupError(self.lost, "the same command continues")
        if self.number:
            raise StoppedError(self.number)
        if self.halted:
            raise HaltedError

    @contextlib.contextmanager
    def unwrapped(self) -> Iterator[None]:
        """Raise what a signal asked for as itself: Ray 2.60's `wait` lets it out as the cause of a SystemError."""
        try:
            yield
        except SystemError:
            self.check()
            raise

    def _ask(self, number: int) -> None:
        if not self.lost:
            self.number = self.number or number
        self.check()
