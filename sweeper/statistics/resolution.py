"""Discrete metrics: shares of samples or images, whose smallest possible difference is one sample or image.

Seeds that agree by chance, all in the same step, look like seeds without noise. Ties are treated as what they are:
known to within a step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sweeper.text.numbers import INVERTED
from trainer.recipe import recorded_metric

Array = npt.NDArray[np.float64]

SAME = 0.5  # of the smallest step there can be: values closer than that differ by rounding in floating point


def step_of(shares: Array, most: int) -> float:
    """Return the step of a discrete metric, given its shares: the smallest difference seen.

    The shares are of at most `most` things, so the step is at least 1 / most, and exactly that where all are equal.
    """
    gaps = np.diff(np.unique(shares[np.isfinite(shares)]))
    gaps = gaps[gaps > SAME / most]
    return float(gaps.min()) if gaps.size else 1 / most


def least_noise(metric: str, values: Array) -> float:
    """Return the least standard deviation that differences of a metric's logarithm are taken to have: that of a step.

    A step is relative to the median of these `values`. 0 for a metric without steps, and where no value is above 0.
    """
    recorded = recorded_metric(metric.removeprefix(INVERTED))
    known = values[np.isfinite(values) & (values > 0)]
    if recorded is None or not recorded.metric.steps or not known.size:
        return 0.0
    shares = 1 / known if metric.startswith(INVERTED) else known
    return step_of(shares, recorded.metric.steps) / float(np.median(shares))
