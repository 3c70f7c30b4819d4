"""Rank correlation of two rankings: with its interval, or with the chance of one as strong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import pearsonr, permutation_test, rankdata

FEWEST = 4
RESAMPLES = 9_999


class Agreement(NamedTuple):
    """Spearman's rank correlation of `n` pairs with its 95 % interval (Fisher's z on ranks; None below 5 pairs)."""

    rho: float
    low: float | None
    high: float | None
    n: int


def rank_agreement(x: Sequence[float], y: Sequence[float]) -> Agreement | None:
    """Correlate two rankings of the same things; None with fewer than four, or where one does not vary."""
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    correlation = pearsonr(rankdata(x), rankdata(y))
    if len(x) == FEWEST:  # Fisher's z then has a standard error of 1: an interval would say next to nothing
        return Agreement(float(correlation.statistic), None, None, FEWEST)
    low, high = correlation.confidence_interval(0.95)
    return Agreement(float(correlation.statistic), float(low), float(high), len(x))


def chance_of_agreement(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the permutation p-value of a rank correlation: how often random pairs correlate at least as strongly.

    Two-sided, over all orders where there are few, else over 9,999 random ones, which are the same at every call.
    """
    ranks, others = rankdata(x), rankdata(y)
    test = permutation_test(
        (ranks,),
        lambda shuffled, axis=-1: np.tensordot(shuffled - ranks.mean(), others - others.mean(), axes=([axis], [0])),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
