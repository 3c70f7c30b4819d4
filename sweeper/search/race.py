"""The race: stops configurations, never single trials, that are hopelessly behind on the seeds they share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

BASELINE = "baseline"
Z = 3.0
HALF = 0.5

# Spread of log FID between training seeds before a study has shown its own, worth PRIOR_DF residuals. The baseline's
# 18.4 +- 2.1 (FACTS, section 4) is 0.12; other data are noisier, and in simulation 0.12 lets single seeds decide.
PRIOR_SD = 0.2
PRIOR_DF = 4
# A few residuals can be small by luck; no compact training repeats to better than this.
FLOOR_SD = 0.06

Matrix = npt.NDArray[np.float64]


class Point(NamedTuple):
    """Where a value was measured: which configuration (a cell's key), which seed, which rung (from 0)."""

    cell: str
    seed: int
    rung: int


class Spread(NamedTuple):
    """Noise of log FID between seeds at one rung: a standard deviation and the degrees of freedom behind it."""

    sd: float
    df: float

    @property
    def quantile(self) -> float:
        """Student's t at Z's tail, so that a spread known from few residuals demands a wider gap (3 as df grows)."""
        return float(stdtrit(self.df, ndtr(Z)))


def hopeless(
    values: Mapping[Point, float], rungs: Sequence[float], spared: Collection[str] = (BASELINE,)
) -> frozenset[str]:
    """Name the configurations that are clearly behind the best one, given FID (> 0) by point.

    Rungs (fractions of the budget) are judged from half of the budget on, each by itself and in log FID; values
    that are not positive and finite count as not measured. A configuration that at a later rung is no longer behind
    is not hopeless. A function of the set of values alone: the order of reports cannot matter.
    """
    behind: set[str] = set()
    caught_up: set[str] = set()
    for rung in reversed([index for index, share in enumerate(rungs) if share >= HALF]):
        cells, y_CS = _table(values, rung)
        if len(cells) > 1:
            gap_C, limit_C = _gaps(y_CS)
            behind |= {cell for cell, over in zip(cells, gap_C > limit_C, strict=True) if over} - caught_up
            caught_up |= {cell for cell, level in zip(cells, gap_C <= 0, strict=True) if level}
    return frozenset(behind - set(spared))


def _table(values: Mapping[Point, float], rung: int) -> tuple[list[str], Matrix]:
    """Lay out log FID at one rung as cells x seeds, both sorted, with NaN where nothing was measured."""
    here = {(at.cell, at.seed): fid for at, fid in values.items() if at.rung == rung and 0 < fid < np.inf}
    cells = sorted({cell for cell, _ in here})
    seeds = sorted({seed for _, seed in here})
    row, column = {cell: i for i, cell in enumerate(cells)}, {seed: i for i, seed in enumerate(seeds)}
    y_CS = np.full((len(cells), len(seeds)), np.nan)
    for (cell, seed), fid in here.items():
        y_CS[row[cell], column[seed]] = np.log(fid)
    return cells, y_CS


def _gaps(y_CS: Matrix) -> tuple[Matrix, Matrix]:
    """Return each cell's mean distance to the best on the seeds both have (NaN without any), and its limit.

    The limit is quantile * sd * sqrt(2 / n) for n shared seeds. From three seeds on, sd is no smaller than the
    pair's own spread, since noise may differ between configurations.
    """
    effect_C, spread = _additive_fit(y_CS)
    behind_CS = y_CS - y_CS[np.argmin(effect_C)]
    n_C = np.isfinite(behind_CS).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap_C = np.nansum(behind_CS, axis=1) / n_C
        pair_var_C = np.nansum((behind_CS - gap_C[:, None]) ** 2, axis=1) / (n_C - 1) / 2
        sd_C = np.maximum(spread.sd, np.where(n_C > 2, np.sqrt(pair_var_C), 0.0))
        return gap_C, spread.quantile * sd_C * np.sqrt(2 / n_C)


def _additive_fit(y_CS: Matrix) -> tuple[Matrix, Spread]:
    """Fit y = cell + seed by least squares and return the cells' effects and the spread of the residuals.

    Cells are eliminated first, so that the system solved has only as many unknowns as there are seeds. The residual
    variance is shrunk to the prior's, as if that had been seen on PRIOR_DF degrees of freedom more.
    """
    seen_CS = np.isfinite(y_CS)
    n_C = seen_CS.sum(axis=1)
    share_CS = seen_CS / n_C[:, None]
    centred_CS = np.where(seen_CS, y_CS - np.nansum(y_CS, axis=1)[:, None] / n_C[:, None], 0.0)
    system_SS = np.diag(seen_CS.sum(axis=0)) - share_CS.T @ seen_CS
    seed_S, _, rank, _ = np.linalg.lstsq(system_SS, centred_CS.sum(axis=0), rcond=1e-9)
    effect_C = np.nansum(y_CS - seed_S, axis=1) / n_C
    residual_CS = np.where(seen_CS, y_CS - effect_C[:, None] - seed_S, 0.0)
    df = int(n_C.sum()) - len(n_C) - int(rank)
    variance = (PRIOR_DF * PRIOR_SD**2 + float((residual_CS**2).sum())) / (PRIOR_DF + df)
    return effect_C, Spread(max(variance**0.5, FLOOR_SD), PRIOR_DF + df)
