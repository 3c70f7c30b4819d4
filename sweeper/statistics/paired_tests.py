"""One cell against the baseline on shared seeds: test in one direction, interval, equivalence; Holm over several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from trainer.recipe import Better


class Interval(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float


class Paired:
    """Differences of a log objective to the baseline's, one a shared seed; at least two.

    The paired t-test from scipy's Student distribution. statsmodels' objects are a hundred times slower, which matters
    when simulating thousands of studies; tests check that the two agree.
    """

    def __init__(self, differences: npt.NDArray[np.float64], least_noise: float = 0.0) -> None:
        """`least_noise` is a lower bound on the standard deviation of differences, for a discrete metric."""
        assert len(differences) > 1
        self.n, self.mean = len(differences), float(differences.mean())
        self._error = max(float(differences.std(ddof=1)), least_noise) / self.n**0.5
        # Runs that are the same bit for bit have no noise: their difference is known, not estimated.
        self._exact = float(np.ptp(differences)) == 0.0 and not least_noise

    def p_value(self, direction: Better, against: float = 0.0) -> float:
        """Return the p-value of the one-sided paired t-test that the objective is lower (or higher) than `against`."""
        gap = self.mean - against if direction == "lower" else against - self.mean
        if self._exact:
            return 0.0 if gap < 0 else 1.0
        return float(stdtr(self.n - 1, gap / self._error))

    def interval(self, alpha: float) -> Interval:
        """Return the two-sided t-interval that misses with probability `alpha`."""
        if self._exact:
            return Interval(self.mean, self.mean)
        reach = float(stdtrit(self.n - 1, 1 - alpha / 2)) * self._error
        return Interval(self.mean - reach, self.mean + reach)

    def equivalence(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (TOST) that the difference lies within +- `margin`."""
        return max(self.p_value("lower", margin), self.p_value("higher", -margin))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979).

    Equal to statsmodels' `multipletests` to the last bit. That one (0.15) runs the garbage collector at every call:
    .1 s with all that a guide imports, dozens of times a guide.
    """
    p_K = np.array(p_values, dtype=np.float64)
    order = np.argsort(p_K, kind="stable")
    adjusted_K = np.empty_like(p_K)
    adjusted_K[order] = np.minimum(np.maximum.accumulate(p_K[order] * np.arange(len(p_K), 0, -1)), 1.0)
    return [float(p) for p in adjusted_K]
