"""Random-effects meta-analysis: what several scopes say together, and what to expect in one that is not among them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit
from statsmodels.stats.meta_analysis import combine_effects

Vector = npt.NDArray[np.float64]

LEAST_FOR_PREDICTION = 3


class Pooled(NamedTuple):
    """K pooled effects: `mean`, its standard error, and the standard deviation `spread` between scopes.

    `low` and `high` are the confidence interval of the mean, `expect_low` and `expect_high` the prediction interval of
    the true effect in a scope not yet seen, None below three scopes. `unlike` is I^2, the share of variation between
    scopes that is not noise. `p_lower` and `p_higher` are one-sided.
    """

    k: int
    mean: float
    se: float
    spread: float
    low: float
    high: float
    expect_low: float | None
    expect_high: float | None
    unlike: float
    p_lower: float
    p_higher: float


def pool(effect_K: Vector, variance_K: Vector, alpha: float = 0.05) -> Pooled | None:
    """Combine effects with their squared standard errors; None below two.

    Paule & Mandel's variance between scopes (1982) with Hartung & Knapp's standard error (2001), which is not allowed
    below the one that takes the variances for known (Roever, Knapp & Friede 2015). The prediction interval is that of
    Higgins, Thompson & Spiegelhalter (2009), on K - 2 degrees of freedom.
    """
    k = len(effect_K)
    if k < 2:
        return None
    with np.errstate(divide="ignore"):  # statsmodels 0.14 divides by Cochran's Q, which is 0 where all agree
        combined = combine_effects(effect_K, variance_K, method_re="iterated", use_t=True)
    mean, between = float(combined.mean_effect_re), max(0.0, float(combined.tau2))
    se = float(np.sqrt(max(combined.var_hksj_re, combined.var_eff_w_re)))
    reach = float(stdtrit(k - 1, 1 - alpha / 2)) * se
    beyond = None
    if k >= LEAST_FOR_PREDICTION:
        beyond = float(stdtrit(k - 2, 1 - alpha / 2) * np.sqrt(between + se**2))
    return Pooled(
        k=k,
        mean=mean,
        se=se,
        spread=float(np.sqrt(between)),
        low=mean - reach,
        high=mean + reach,
        expect_low=None if beyond is None else mean - beyond,
        expect_high=None if beyond is None else mean + beyond,
        unlike=max(0.0, float(combined.i2)),
        p_lower=float(stdtr(k - 1, mean / se)),
        p_higher=float(stdtr(k - 1, -mean / se)),
    )


def prediction_together(k: int, reach: float, together: int, alpha: float = 0.05) -> float:
    """Widen a prediction interval's reach, so that so many intervals of k scopes each hold at once (Bonferroni).

    >>> round(prediction_together(6, 0.035, 10), 3)
    0.071
    """
    return reach * float(stdtrit(k - 2, 1 - alpha / together / 2) / stdtrit(k - 2, 1 - alpha / 2))
