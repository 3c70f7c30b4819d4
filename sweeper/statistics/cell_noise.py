"""The noise of a screen's settings: each one's variance, and the covariance of those that share a knob's level.

Shapes: C cells, S seeds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sweeper.statistics.effects import Effects, Matrix
from sweeper.statistics.moments import moments

# The weight of the pooled noise beside a cell's own, in degrees of freedom.
PRIOR_DF = 4


def residuals(effects: Effects) -> Matrix:
    """Return the residuals after cell and seed effects, [C, S]."""
    own_CS = effects.y_CS - effects.effect_C[:, None]
    return np.asarray(own_CS - moments(own_CS.T).mean)  # a seed's effect is what all cells share


def level_variances(effects: Effects, prior_df: float = PRIOR_DF) -> Matrix:
    """Return the variance of every cell's level, [C]: its own, shrunk towards the pooled one (Smyth 2004)."""
    squares_C = np.nansum(residuals(effects) ** 2, axis=1)
    return np.asarray((prior_df * effects.sd**2 + squares_C) / (prior_df + effects.n_C - 1) / effects.n_C)


def joint_noise(variance_C: Matrix, residual_CS: Matrix, place_CK: Matrix) -> Matrix:
    """Return the covariance of the cells' levels, [C, C]: cells on one seed that share a knob's level may correlate.

    `place_CK` is where a cell lies on every knob; a cell without residuals has noise of its own alone.
    """
    seeds_C = np.isfinite(residual_CS).sum(axis=1)
    pairs_CC = _products(residual_CS)
    weight_C = np.where(seeds_C > 0, 1 / np.sqrt(np.maximum(seeds_C, 1)), 0.0)
    together_CC = np.zeros((len(variance_C),) * 2)
    for place_C in place_CK.T:
        same_CC = place_C[:, None] == place_C
        together_CC += _covariance(pairs_CC, same_CC) * same_CC * np.outer(weight_C, weight_C)
    own_C = np.maximum(variance_C - np.diagonal(together_CC), 0.1 * variance_C)
    return np.asarray(together_CC + np.diag(own_C))


def _products(residual_CS: Matrix) -> Matrix:
    """Return the mean product of two settings' residuals over the seeds they share, NaN where they share none."""
    seen_CS, filled_CS = np.isfinite(residual_CS), np.nan_to_num(residual_CS)
    shared_CC = (seen_CS[:, None] & seen_CS[None]).sum(axis=-1)
    products_CC = filled_CS @ filled_CS.T / np.maximum(shared_CC, 1)
    np.fill_diagonal(products_CC, np.nan)
    return np.asarray(np.where(shared_CC > 0, products_CC, np.nan))


def _covariance(pairs_CC: Matrix, same_CC: npt.NDArray[np.bool_]) -> float:
    """Return the covariance of settings that share a level, less that of settings that do not; never below 0."""
    alike, apart = pairs_CC[same_CC], pairs_CC[~same_CC]
    alike, apart = alike[np.isfinite(alike)], apart[np.isfinite(apart)]
    return max(0.0, float(alike.mean() - apart.mean())) if len(alike) and len(apart) else 0.0
