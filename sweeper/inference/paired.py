"""One cell against the baseline on shared seeds: test in one direction, interval, equivalence; Holm over several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

Direction = Literal["lower", "higher"]


class Interval(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float


class Paired:
    """Differences of a log objective to the baseline's, one a shared seed; at least two."""

    def __init__(self, differences: npt.NDArray[np.float64]) -> None:
        assert len(differences) > 1
        self._described = DescrStatsW(differences)
        self.n = len(differences)
        self.mean = float(self._described.mean)
        # Runs that are the same bit for bit have no noise: their difference is known, not estimated.
        self._exact = float(np.ptp(differences)) == 0.0

    def p_value(self, direction: Direction) -> float:
        """Return the p-value of the one-sided paired t-test that the objective is lower (or higher)."""
        if self._exact:
            return 0.0 if (self.mean < 0 if direction == "lower" else self.mean > 0) else 1.0
        side = "smaller" if direction == "lower" else "larger"
        return float(self._described.ttest_mean(0.0, alternative=side)[1])

    def interval(self, alpha: float) -> Interval:
        """Return the two-sided t-interval that misses with probability `alpha`."""
        if self._exact:
            return Interval(self.mean, self.mean)
        low, high = self._described.tconfint_mean(alpha)
        return Interval(float(low), float(high))

    def equivalence(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (TOST) that the difference lies within +- `margin`."""
        if self._exact:
            return 0.0 if abs(self.mean) < margin else 1.0
        return float(self._described.ttost_mean(-margin, margin)[0])


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979)."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
