"""The level of a screen's baseline, where it has seeds beside those shared with the settings.

All comparisons share the baseline's noise. On seeds shared with the settings, seed effects cancel. In its further
runs they do not, but average out over many seeds. The two estimates are weighted by their precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweeper.statistics.cell_noise import level_variances
from sweeper.statistics.effects import Effects, Matrix
from sweeper.statistics.moments import moments

BASELINE_DF = 2  # the pooled noise counts for less than elsewhere: the baseline may be the noisiest of all


class Level(NamedTuple):
    """The baseline's log objective at the settings' average seed, its standard error and degrees of freedom."""

    mean: float
    error: float
    df: float


def baseline_level(effects: Effects, further_S: Matrix) -> Level:
    """Estimate the level of the first of these cells; `further_S` is its log objective on seeds of its own."""
    mean, runs = float(effects.effect_C[0]), int(effects.n_C[0])
    variance, df = float(level_variances(effects, BASELINE_DF)[0]), float(BASELINE_DF + runs - 1)
    if not len(further_S):
        return Level(mean, float(np.sqrt(variance)), df)
    own_S = effects.y_CS[0]
    every_S = np.concatenate([own_S[np.isfinite(own_S)], further_S])
    whole, more = float(every_S.var(ddof=1)), len(every_S) - 1
    seeds = min(whole, max(_seed_variance(effects), whole - runs * variance))
    # Further runs also show how noisy it is by itself.
    own = (BASELINE_DF * effects.sd**2 + more * (whole - seeds)) / (BASELINE_DF + more)
    shared = Level(mean, float(np.sqrt(max(variance, own / runs))), df)
    return _joined(shared, _alone(further_S, whole, more, seeds, runs))


def _alone(further_S: Matrix, whole: float, df: int, seeds: float, shared: int) -> Level:
    """Estimate it from further seeds alone: the error includes seed effects, of these seeds and of the shared ones."""
    parts = np.array([whole / len(further_S), seeds / shared])
    joint = parts.sum() ** 2 / (parts**2 / [df, max(shared - 1, 1)]).sum()
    return Level(float(further_S.mean()), float(np.sqrt(parts.sum())), float(joint))


def _seed_variance(effects: Effects) -> float:
    """Return the variance of the seed effects, less what noise adds to their estimates."""
    seed_S = moments((effects.y_CS - effects.effect_C[:, None]).T)
    noise = effects.sd**2 / float(np.mean(seed_S.n))
    return max(float(np.var(seed_S.mean, ddof=1)) - noise, 0.0) if len(seed_S.mean) > 1 else 0.0


def _joined(first: Level, second: Level) -> Level:
    """Weight two independent estimates by precision, which is estimated too; hence the lesser degrees of freedom."""
    variance = np.array([first.error, second.error]) ** 2
    weight = variance[::-1] / variance.sum()
    error = float(np.sqrt((weight**2 * variance).sum()))
    return Level(float(weight @ [first.mean, second.mean]), error, min(first.df, second.df))
