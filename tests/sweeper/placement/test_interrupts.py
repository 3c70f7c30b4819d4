from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from sweeper.errors import SetupError
from sweeper.placement.interrupts import Interrupts
from sweeper.signals import STOPPING


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
