"""Count, mean and variance of measured values; NaN stands for a missing one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Of every row: how many values, their mean (NaN without any) and variance (NaN below two values)."""

    n: npt.NDArray[np.int_]
    mean: Floats
    variance: Floats

    @property
    def sd(self) -> Floats:
        """The standard deviation, NaN below two values."""
        return np.sqrt(self.variance)


def mean_of_known(values: Floats, axis: int = -1) -> tuple[Floats, npt.NDArray[np.int_]]:
    """Return the mean of the finite values along an axis, 0 without any, and their number."""
    known = np.isfinite(values)
    n = known.sum(axis=axis)
    with np.errstate(over="ignore"):
        return np.where(known, values, 0.0).sum(axis=axis) / np.maximum(n, 1), n


def moments(values: Floats) -> Moments:
    """Return the moments of the finite values along the last axis.

    >>> moments(np.array([[1.0, 3.0, np.nan], [2.0, np.nan, np.nan]]))
    Moments(n=array([2, 1]), mean=array([2., 2.]), variance=array([ 2., nan]))
    """
    mean, n = mean_of_known(values)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.where(np.isfinite(values), values - mean[..., None], 0.0) ** 2
        variance = squares.sum(axis=-1) / np.maximum(n - 1, 1)
    return Moments(n, np.where(n > 0, mean, np.nan), np.where(n > 1, variance, np.nan))
