from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray._private import utils, worker

from sweeper.errors import SetupError
from sweeper.placement.interrupts import Interrupts, own_handlers, shut_down, undisturbed
from sweeper.signals import STOPPING, StoppedError, stoppable


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    made = Interrupts()
    made.install()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_that_was_swallowed_is_raised_again(interrupts: Interrupts, number: signal.Signals) -> None:
    interrupts.check()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()
    assert interrupts.number == number


def test_what_c_code_wrapped_comes_out_as_what_was_asked_for(interrupts: Interrupts) -> None:
    interrupts.lost = "Ray's raylet ended"
    with pytest.raises(SetupError, match="Ray's raylet ended"), interrupts.unwrapped():
        raise SystemError("<cyfunction CoreWorker.wait> returned a result with an exception set")


def test_a_system_error_that_nobody_asked_for_stays_what_it_is(interrupts: Interrupts) -> None:
    with pytest.raises(SystemError), interrupts.unwrapped():
        raise SystemError("of somebody else")


def test_a_sigterm_while_ray_starts_stops_the_run_as_any_other() -> None:
    """As `ray.init` begins it calls this, and it takes ten seconds from there to its end."""
    with stoppable(), own_handlers():
        utils.set_sigterm_handler(lambda number, _: pytest.fail(f"exit code {number}"))
        with pytest.raises(StoppedError) as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.number == signal.SIGTERM


@pytest.fixture
def another_thread() -> Iterator[None]:
    """A thread that does not block SIGTERM, as OpenBLAS's and gRPC's: the kernel may give it the signal."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


def taking_sigterm_over(done: list[str]) -> None:
    """Do as Ray's C++ does, past Python, and have the signal come in the midst of it."""
    ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))
    terminated_in_the_midst()
    done.append("acted")


def terminated_in_the_midst() -> None:
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)


@pytest.mark.usefixtures("another_thread")
def test_a_sigterm_while_ray_connects_waits_and_is_ours_though_its_c_code_took_the_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    connect = functools.partial(taking_sigterm_over, done)
    monkeypatch.setattr(worker, "connect", connect)
    with stoppable():
        with own_handlers(), pytest.raises(StoppedError):
            worker.connect()
        assert done == ["acted"]
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signal.SIGTERM)
    assert worker.connect is connect
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.usefixtures("another_thread")
def test_a_sigterm_while_ray_shuts_down_and_after_is_ours_though_its_c_code_gave_the_signal_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(ray, "shutdown", functools.partial(taking_sigterm_over, done))
    with stoppable():
        with pytest.raises(StoppedError):
            shut_down()
        assert done == ["acted"]
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_runs_undisturbed_returns_its_value_and_raises_its_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert undisturbed(lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(OSError, match="no route"):
        undisturbed(functools.partial(refuse, "no route"))
    assert signal.getsignal(signal.SIGTERM) is before


def refuse(message: str) -> None:
    raise OSError(message)


@pytest.mark.usefixtures("another_thread")
def test_a_sigterm_outweighs_the_error_of_what_ran_undisturbed() -> None:
    def act() -> None:
        terminated_in_the_midst()
        refuse("no route")

    with stoppable(), pytest.raises(StoppedError) as stopped:
        undisturbed(act)
    assert isinstance(stopped.value.__context__, OSError)


def test_ray_can_take_sigterm_over_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with own_handlers():
        pass
    utils.set_sigterm_handler(signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, before)


def test_ray_takes_sigterm_over_by_the_function_that_is_held_back() -> None:
    """Read in Ray's source, since a changed name would let the run end with exit code 15 again."""
    source = Path(ray._private.worker.__file__).read_text(encoding="utf-8")
    assert "ray._private.utils.set_sigterm_handler(sigterm_handler)" in source
    assert "signal.signal(" not in source
