import threading

import pytest

from sweeper.errors import SetupError, UnavailableError
from sweeper.stores.retry import LONGEST_PAUSE_S, Patience


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def silent() -> None:
    raise UnavailableError("the store does not answer")


def test_a_store_is_asked_again_for_ten_minutes_with_growing_pauses():
    time = Time()
    with pytest.raises(UnavailableError):
        Patience(clock=lambda: time.now, pause=time.pause).through(silent)
    assert 600 <= time.now < 600 + LONGEST_PAUSE_S
    assert time.pauses == sorted(time.pauses)
    assert (time.pauses[0], time.pauses[-1]) == (0.1, LONGEST_PAUSE_S)


def test_what_is_waited_for_is_said_until_the_store_answers():
    time, said = Time(), list[str]()

    def pause(seconds: float) -> None:
        time.pause(seconds)
        said.append(patience.waits_for())

    patience = Patience(clock=lambda: time.now, pause=pause)

    def answers_late() -> str:
        if time.now < 30:
            silent()
        return "there"

    assert patience.through(answers_late) == "there"
    assert said[-1] == f"the store does not answer; asked again and again for {time.now:.0f} s now"
    assert patience.waits_for() == ""


def test_trouble_that_will_not_pass_is_not_waited_for():
    def broken() -> None:
        raise SetupError("the store is damaged")

    with pytest.raises(SetupError, match="damaged"):
        Patience(pause=pytest.fail).through(broken)


def test_waiting_ends_at_once_when_the_run_is_to_end():
    patience = Patience()
    ending = threading.Timer(0.1, patience.give_up)
    ending.start()
    with pytest.raises(UnavailableError):
        patience.through(silent)
    with pytest.raises(UnavailableError):
        patience.through(silent)
    ending.join()
