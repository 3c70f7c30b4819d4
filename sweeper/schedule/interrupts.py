"""Ctrl-C and SIGTERM that cannot get lost while a study runs."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupts:
    """Remembers that the run was asked to stop.

    Python drops a KeyboardInterrupt that happens to be raised inside a finaliser or a callback of C code, of which Ray
    has many; whoever calls `check` now and then raises it again.
    """

    def __init__(self) -> None:
        self._asked = False

    def install(self) -> None:
        """Take the signals over. Ray's own handler of SIGTERM would end the process with the signal's number."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def check(self) -> None:
        """Raise KeyboardInterrupt if the run was asked to stop."""
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        raise KeyboardInterrupt
