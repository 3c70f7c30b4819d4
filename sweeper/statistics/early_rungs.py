"""Predict where stopped settings would have ended, from an early rung, by the settings measured at both.

Shapes: C cells, S seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from statsmodels.regression.linear_model import OLS

from sweeper.statistics.cell_noise import level_variances
from sweeper.statistics.effects import Effects, Matrix, fit_effects
from sweeper.statistics.moments import mean_of_known

FEWEST_PAIRS = 5  # settings with both rungs
# The least share of the early levels' spread that is signal, and the relative uncertainty of the line's slope; both
# chosen so that bands hold in `tests/simulation/surface.py`.
LEAST_RELIABLE, SLOPE_DOUBT = 0.5, 0.2


class Foreseen(NamedTuple):
    """The expected levels of stopped cells at the end, on the scale of those that finished, and their variances."""

    cells: npt.NDArray[np.int64]
    level_C: Matrix
    variance_C: Matrix


def foresee(early_CS: Matrix, finished: npt.NDArray[np.int64], ends: Effects) -> Foreseen:
    """Predict the end of every cell that has an early rung and is not among the `finished`, whose ends are `ends`.

    Nothing is predicted where fewer than five cells have both rungs, or where a better early rung is no better end.
    """
    seen_C = np.asarray(np.isfinite(early_CS).any(axis=1))
    has_both = seen_C[finished]
    stopped = np.setdiff1d(np.flatnonzero(seen_C), finished)
    if not len(stopped) or has_both.sum() < FEWEST_PAIRS:
        return _nothing()
    early = fit_effects(early_CS[np.concatenate([finished[has_both], stopped])])
    return _extrapolated(stopped, early, ends, has_both) if early else _nothing()


def _nothing() -> Foreseen:
    return Foreseen(np.array([], dtype=np.int64), np.array([]), np.array([]))


def _noise_of_both(early_CS: Matrix, end_CS: Matrix) -> Matrix:
    """Return the covariance of a trial's noise at an early rung and at the end, [2, 2]."""
    seen_CS = np.isfinite(early_CS) & np.isfinite(end_CS)
    both_2CS = np.where(seen_CS, np.stack([early_CS, end_CS]), np.nan)
    for axis in (2, 1):
        both_2CS = both_2CS - mean_of_known(both_2CS, axis)[0][..., None].swapaxes(axis, 2)
    residual_2N = np.nan_to_num(both_2CS).reshape(2, -1)
    cells, seeds = (int(seen_CS.any(axis=axis).sum()) for axis in (1, 0))
    return np.asarray(residual_2N @ residual_2N.T / max(1, int(seen_CS.sum()) - cells - seeds + 1))


def _extrapolated(
    stopped: npt.NDArray[np.int64], early: Effects, ends: Effects, has_both: npt.NDArray[np.bool_]
) -> Foreseen:
    """Predict from a line through levels at the early rung and at the end.

    Among finished cells, noise of the early rung flattens the line (regression dilution); stopped cells lie beyond
    them, where the slope without noise holds. Uncertainty grows with the distance, and with the spread of the cell's
    own seeds: noise stops settings too.
    """
    end_C, pairs = ends.effect_C[has_both], int(has_both.sum())
    known_C, new_C = early.effect_C[:pairs], early.effect_C[pairs:]
    center, spread = float(known_C.mean()), float(known_C.var(ddof=1))
    line = OLS(end_C, np.column_stack([np.ones(pairs), known_C - center])).fit()
    noise_22 = _noise_of_both(early.y_CS[:pairs], ends.y_CS[has_both]) / ends.y_CS.shape[1]
    noise = min(noise_22[0, 0], (1 - LEAST_RELIABLE) * spread)
    shared = noise * noise_22[0, 1] / noise_22[0, 0] if noise_22[0, 0] > 0 else 0.0
    slope = (line.params[1] * spread - shared) / (spread - noise) if spread > 0 else 0.0
    if not np.isfinite(line.mse_resid) or slope <= 0:
        return _nothing()
    away_C, doubt = new_C - center, line.bse[1] ** 2 + (SLOPE_DOUBT * slope) ** 2
    own_C = slope**2 * level_variances(early)[pairs:]
    return Foreseen(stopped, line.params[0] + slope * away_C, line.mse_resid + own_C + doubt * away_C**2)
