"""How long a study still takes, from the trials that ended since it was started."""

from __future__ import annotations

import math
import statistics
import time

from sweeper.text.numbers import duration

ENOUGH = 5  # ended trials from which on their gaps say how sure the estimate is
REACH = 1.28  # standard deviations to either side: 80 % of normal noise


class TimeLeft:
    """Watches how many trials have ended, and says when the rest will have.

    Trials that are stopped early count like others: a study stops about as many of the rest.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._before: int | None = None
        self._ends: list[float] = []

    def estimate(self, ended: int, waiting: int, is_training: bool) -> str:
        """Note that so many have ended, and say how long the `waiting` ones take; empty while nothing is known.

        Until something is in training the clock does not run: reading data and starting Ray happen once.
        """
        now = time.monotonic()
        self._before = ended if self._before is None else self._before
        if ended == self._before and not is_training:
            self._begun = now
        self._ends += [now] * (ended - self._before - len(self._ends))
        if not self._ends or not waiting:
            return ""
        left = (now - self._begun) / len(self._ends) * waiting
        about = f"about {duration(left)} left"
        if len(self._ends) < ENOUGH:
            return about
        reach = REACH * self._noise() * waiting * math.sqrt(1 / len(self._ends) + 1 / waiting)
        low, high = duration(max(0.0, left - reach)), duration(left + reach)
        return about if low == high else f"{about} ({low} to {high})"

    def _noise(self) -> float:
        """Return the standard deviation of the time from one end to the next."""
        starts = [self._begun, *self._ends]
        return statistics.stdev(end - start for start, end in zip(starts, self._ends, strict=False))
