"""Knobs as factors of a log objective: whether two of them interact, and what each does by itself if they do not."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr
from scipy.special import fdtrc, stdtrit
from statsmodels.regression.linear_model import OLS

Vector = npt.NDArray[np.float64]
Design = npt.NDArray[np.float64]
MOST_COLUMNS = 400


class FTest(NamedTuple):
    """An F-test of nested least-squares models."""

    f: float
    df: int
    df_residual: int
    p: float


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
    """Test whether row x column adds to row + column, within every page; seeds are blocks. None where it cannot."""
    seeds = _dummies(seeds_N)[:, 1:]
    additive = _join(seeds, *(_dummies(list(zip(pages_N, factor.levels, strict=True))) for factor in (row, column)))
    full = _join(seeds, _dummies(list(zip(pages_N, row.levels, column.levels, strict=True))))
    if full.shape[1] > MOST_COLUMNS:
        return None
    return _compare(y_N, additive, full)


def effect(y_N: Vector, blocks: Sequence[Sequence[Hashable]], factor: Factor) -> FTest | None:
    """Test whether a factor does anything beside additive `blocks` (seeds, other factors)."""
    reduced = _join(_ones(len(y_N)), *(_dummies(block)[:, 1:] for block in blocks))
    full = _join(reduced, _dummies(factor.levels)[:, 1:])
    return None if full.shape[1] > MOST_COLUMNS else _compare(y_N, reduced, full)


def levels(y_N: Vector, blocks: Sequence[Sequence[Hashable]], factor: Factor, alpha: float) -> tuple[Level, ...]:
    """Compare every level with the one that has the lowest mean, beside additive `blocks`.

    Intervals hold together over all pairs of levels (Bonferroni), since the lowest was picked by looking.
    """
    known = sorted(set(factor.levels), key=list(factor.levels).index)
    others = _join(*(_dummies(block)[:, 1:] for block in blocks))
    design = _join(_dummies(factor.levels, known), others)
    if len(known) < 2 or design.shape[1] > MOST_COLUMNS or _independent(design).shape != design.shape:
        return ()  # nothing to compare, or levels that only occur with levels of another factor
    fitted = OLS(y_N, design).fit()
    if fitted.df_resid < 1:
        return ()
    lowest = int(np.argmin(fitted.params[: len(known)]))
    critical = stdtrit(fitted.df_resid, 1 - alpha / (len(known) * (len(known) - 1)))
    found = []
    for place, level in enumerate(known):
        contrast = np.zeros(design.shape[1])
        contrast[place] += 1
        contrast[lowest] -= 1
        difference = float(contrast @ fitted.params)
        reach = float(critical * np.sqrt(max(0.0, contrast @ fitted.cov_params() @ contrast)))
        found.append(Level(level, difference, difference - reach, difference + reach))
    return tuple(found)


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
    f = float((small.ssr - large.ssr) / df / (large.ssr / rest))
    return FTest(f, df, rest, float(fdtrc(df, rest, max(f, 0.0))))
