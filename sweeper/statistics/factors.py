"""Knobs as factors of a log objective: whether two of them interact, and what each does by itself if they do not."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr
from scipy.special import fdtrc, stdtrit
from statsmodels.regression.linear_model import OLS

Vector = npt.NDArray[np.float64]
Design = npt.NDArray[np.float64]
MOST_COLUMNS = 400  # of a design, chosen by eye: the time of a fit grows at least with their square
LEAST_LEFT = 5  # settings beyond the columns of a smooth surface


class FTest(NamedTuple):
    """An F-test of nested least-squares models; `size` is the root mean square of what the larger one adds.

    In units of y, less what noise alone would add; 0 where noise adds as much.
    """

    f: float
    df: int
    df_residual: int
    p: float
    size: float


class Level(NamedTuple):
    """One level of a factor against the level with the lowest mean: difference and simultaneous interval, log scale."""

    level: Hashable
    difference: float
    low: float
    high: float


class Factor(NamedTuple):
    """A knob's levels, observation by observation."""

    name: str
    levels: Sequence[Hashable]


def interaction(
    y_N: Vector, seeds_N: Sequence[Hashable], pages_N: Sequence[Hashable], row: Factor, column: Factor
) -> FTest | None:
    """Test whether row x column adds to row + column, within every page. None where it cannot, as on one seed.

    Row and column effects may differ from seed to seed (cells of a seed share weights, data and noise), so each
    interaction contrast is tested against its own variation between seeds.
    """
    moving = [_dummies(list(zip(seeds_N, pages_N, factor.levels, strict=True))) for factor in (row, column)]
    additive = _join(*moving)
    full = _join(additive, _dummies(list(zip(pages_N, row.levels, column.levels, strict=True))))
    if full.shape[1] > MOST_COLUMNS:
        return None
    return _compare(y_N, additive, full)


def smooth_interaction(y_C: Vector, mains: Sequence[Design], row: Design, column: Design) -> FTest | None:
    """Test whether the products of two knobs' columns add to curves in every knob, over settings that form no grid.

    One figure per setting, on the same seeds; `mains` are the columns of all knobs, [C, K] each. The error term is all
    that the curves do not explain, other curvature of the surface included. None with too few settings.
    """
    reduced = _join(_ones(len(y_C)), *mains)
    full = _join(reduced, (row[:, :, None] * column[:, None, :]).reshape(len(y_C), -1))
    return None if len(y_C) < full.shape[1] + LEAST_LEFT else _compare(y_C, reduced, full)


def effect(y_N: Vector, blocks: Sequence[Sequence[Hashable]], factor: Factor) -> FTest | None:
    """Test whether a factor does anything beside additive `blocks` (seeds, other factors)."""
    reduced = _join(_ones(len(y_N)), *(_dummies(block)[:, 1:] for block in blocks))
    full = _join(reduced, _dummies(factor.levels)[:, 1:])
    return None if full.shape[1] > MOST_COLUMNS else _compare(y_N, reduced, full)


def levels(
    y_N: Vector, seeds_N: Sequence[Hashable], blocks: Sequence[Sequence[Hashable]], factor: Factor, alpha: float
) -> tuple[Level, ...]:
    """Compare every level with the one that has the lowest mean, beside additive `blocks` (other factors).

    Each seed gives one figure per level, and levels are compared over seeds: cells of a seed share weights, data and
    noise, and a level's cells share more. Every seed has the same cells; one seed alone does not suffice.
    Intervals hold together over all pairs of levels (Bonferroni), since the lowest was chosen from the data.
    """
    known, seeds = sorted(set(factor.levels), key=list(factor.levels).index), list(dict.fromkeys(seeds_N))
    means_SL = _level_means(y_N, [seeds.index(seed) for seed in seeds_N], blocks, factor, known)
    if means_SL is None:
        return ()
    mean_L = means_SL.mean(axis=0)
    df = (len(seeds) - 1) * (len(known) - 1)
    noise_SL = means_SL - mean_L - means_SL.mean(axis=1, keepdims=True) + means_SL.mean()
    error = float(np.sqrt((noise_SL**2).sum() / df * 2 / len(seeds)))
    reach = float(stdtrit(df, 1 - alpha / (len(known) * (len(known) - 1)))) * error
    lowest = int(np.argmin(mean_L))
    compared = []
    for place, level in enumerate(known):
        difference, own = float(mean_L[place] - mean_L[lowest]), reach if place != lowest else 0.0
        compared.append(Level(level, difference, difference - own, difference + own))
    return tuple(compared)


def _level_means(
    y_N: Vector,
    seed_N: Sequence[int],
    blocks: Sequence[Sequence[Hashable]],
    factor: Factor,
    known: Sequence[Hashable],
) -> Design | None:
    """Return every seed's figure for every level, beside `blocks`, [S, L]; None where levels are confounded."""
    place_N, design = np.array(seed_N), _dummies(factor.levels, known)
    design = _join(design, *(_dummies(block)[:, 1:] for block in blocks))
    if len(known) < 2 or len(set(seed_N)) < 2 or design.shape[1] > MOST_COLUMNS:
        return None
    means_SL = []
    for seed in sorted(set(seed_N)):
        own = design[place_N == seed]
        if len(own) < own.shape[1] or _independent(own).shape != own.shape:
            return None  # levels that only occur with levels of another factor
        means_SL.append(OLS(y_N[place_N == seed], own).fit().params[: len(known)])
    return np.array(means_SL)


def _dummies(levels_N: Sequence[Hashable], known: Sequence[Hashable] | None = None) -> Design:
    place = {level: i for i, level in enumerate(known or dict.fromkeys(levels_N))}
    return np.asarray(np.eye(len(place))[[place[level] for level in levels_N]])


def _ones(count: int) -> Design:
    return np.ones((count, 1))


def _join(*parts: Design) -> Design:
    return np.concatenate(parts, axis=1)


def _independent(design: Design) -> Design:
    """Keep columns that span the same space: dummies of several factors always overlap."""
    _, triangle, order = qr(design, mode="economic", pivoting=True)
    size = np.abs(np.diagonal(triangle))
    return design[:, np.sort(order[: int((size > 1e-9 * size[0]).sum())])]


def _compare(y_N: Vector, reduced: Design, full: Design) -> FTest | None:
    small, large = OLS(y_N, _independent(reduced)).fit(), OLS(y_N, _independent(full)).fit()
    df, rest = round(large.df_model - small.df_model), round(large.df_resid)
    if df < 1 or rest < 1 or large.ssr <= 1e-12 * max(1.0, float(y_N @ y_N)):
        return None
    noise = large.ssr / rest
    f = float((small.ssr - large.ssr) / df / noise)
    size = math.sqrt(max(f - 1, 0.0) * df * noise / len(y_N))
    return FTest(f, df, rest, float(fdtrc(df, rest, max(f, 0.0))), size)
