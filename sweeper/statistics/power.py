"""How many seeds it takes to detect a gain with one test, and which gain a number of seeds can detect."""

from __future__ import annotations

import functools

import numpy as np
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtrit

MOST_SEEDS = 1000
LEAST_LEFT = 0.01  # the share of the objective that is left: nobody sees a larger gain


def power(log_gain: float, sd: float, n: int, alpha: float) -> float:
    """Return the chance that a one-sided paired t-test over `n` seeds at level `alpha` sees this gain.

    `sd` is the standard deviation of paired differences on the log scale.
    """
    if sd <= 0:
        return 1.0
    chance = 1 - float(nctdtr(n - 1, log_gain / sd * np.sqrt(n), stdtrit(n - 1, 1 - alpha)))
    # scipy's noncentral t may return nan far out, where the gain dwarfs the noise.
    return chance if np.isfinite(chance) else 1.0


@functools.lru_cache(maxsize=4096)
def needed_seeds(log_gain: float, sd: float, alpha: float, desired: float = 0.8) -> int | None:
    """Return the fewest seeds that see a gain with the `desired` power; None beyond 1,000."""
    low, high = 1, MOST_SEEDS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(log_gain, sd, middle, alpha) >= desired else (middle, high)
    return high if high <= MOST_SEEDS else None


def detectable(n: int, sd: float, alpha: float, desired: float = 0.8) -> float | None:
    """Return the gain, as a fraction, that `n` seeds see with the `desired` power; None when it is beyond 99 %."""
    if sd <= 0:
        return 0.0
    most = -np.log(LEAST_LEFT)
    if n < 2 or power(most, sd, n, alpha) < desired:
        return None
    return float(-np.expm1(-brentq(lambda gain: power(gain, sd, n, alpha) - desired, 0.0, most)))
