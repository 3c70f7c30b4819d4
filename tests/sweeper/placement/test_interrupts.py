from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray._private import state, utils, worker

from sweeper.errors import SetupError
from sweeper.placement.interrupts import Interrupts, own_handlers, shut_down
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


def test_a_sigterm_while_ray_connects_waits_and_is_ours_though_its_c_code_took_the_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = []

    def connect() -> None:
        ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))  # as C++ does, past Python
        os.kill(os.getpid(), signal.SIGTERM)
        done.append(True)

    monkeypatch.setattr(worker, "connect", connect)
    with stoppable():
        with own_handlers(), pytest.raises(StoppedError):
            worker.connect()
        assert done
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signal.SIGTERM)
    assert worker.connect is connect
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_sigterm_while_ray_shuts_down_and_after_is_ours_though_its_c_code_gave_the_signal_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def shutdown() -> None:
        ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append("given up")
        state.state.disconnect()
        seen.append("processes ended")

    monkeypatch.setattr(ray, "shutdown", shutdown)
    with stoppable():
        with pytest.raises(StoppedError):
            shut_down()
        assert seen == ["given up"]
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


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
