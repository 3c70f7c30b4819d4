"""Make sure that Ctrl-C, SIGTERM and SIGHUP are never lost while a study runs."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import ray
from ray._private import utils, worker

from sweeper.errors import CONTINUES, SetupError
from sweeper.signals import OutsideImports, StoppedError

T = TypeVar("T")

ACTED = signal.SIGURG  # says that `undisturbed` is done; its default action is none


class HaltedError(Exception):
    """The coordinator has halted the study; workers that train on would be turned away."""


@contextlib.contextmanager
def own_handlers() -> Iterator[None]:
    """Keep our handler of SIGTERM while Ray starts, which takes seconds.

    Ray 2.60 replaces it twice: at its start with one that silently ends the process with exit code 15 and, when it
    connects, with a C++ handler below Python that prints a stack and ends the process by SIGABRT three seconds later.
    """
    take_over, connect = utils.set_sigterm_handler, worker.connect

    def connect_undisturbed(*args: Any, **kwargs: Any) -> Any:
        return undisturbed(functools.partial(connect, *args, **kwargs))

    utils.set_sigterm_handler, worker.connect = (lambda _: None), connect_undisturbed
    try:
        yield
    finally:
        utils.set_sigterm_handler, worker.connect = take_over, connect


def shut_down() -> None:
    """Shut Ray down, and keep our handler of SIGTERM.

    Ray 2.60's C++ resets the signal to its default action when its driver ends: SIGTERM would then kill the process
    silently while its guide is written.
    """
    undisturbed(ray.shutdown)


def undisturbed(act: Callable[[], T]) -> T:
    """Return `act()`, which may replace SIGTERM's handler below Python; a SIGTERM that comes meanwhile acts after it.

    Blocking the signal here would not do: the kernel gives it to any other thread of the process that does not block
    it, such as OpenBLAS's and gRPC's. So another thread acts, while the main thread waits for the signal: a signal sent
    to a process goes to its main thread first, and what a thread waits for never reaches a handler (signal(7) and
    sigwaitinfo(2), and `complete_signal` in Linux's kernel/signal.c). The microseconds before the wait begins
    and after it ends remain unprotected.
    """
    main = threading.main_thread().ident
    assert main == threading.get_ident(), "signals are the main thread's"

    def acting() -> T:
        try:
            return act()
        finally:
            signal.pthread_kill(main, ACTED)

    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, ACTED})
    came = False
    try:
        with ThreadPoolExecutor(1, "undisturbed") as threads:
            acted = threads.submit(acting)
            while signal.sigwait({signal.SIGTERM, ACTED}) != ACTED:
                came = True
        return acted.result()
    finally:
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # installs Python's once more, below it
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if came:
            signal.raise_signal(signal.SIGTERM)


class Interrupts:
    """Remembers why the run is to stop: a signal (its `number`), a study that was `halted`, or a Ray that was `lost`.

    Python drops a KeyboardInterrupt that happens to be raised inside a finaliser or a callback of C code, of which Ray
    has many; so call `check` regularly, which raises it again.
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
            raise SetupError(self.lost, CONTINUES)
        if self.number:
            raise StoppedError(self.number)
        if self.halted:
            raise HaltedError

    @contextlib.contextmanager
    def unwrapped(self) -> Iterator[None]:
        """Raise a signal's exception unwrapped: Ray 2.60's `wait` raises it as the cause of a SystemError."""
        try:
            yield
        except SystemError:
            self.check()
            raise

    def _ask(self, number: int) -> None:
        if not self.lost:
            self.number = self.number or number
        self.check()
