"""The race, our early stopping: it stops whole configurations that are clearly behind on the seeds they share."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from sweeper.records import BASELINE_KEY
from sweeper.statistics.moments import mean_of_known

Z = 3.0
HALF = 0.5

# Spread of log FID between training seeds before a study has shown its own. The baseline's 18.4 +- 2.1 (FACTS,
# section 4) is 0.12; other data are noisier, and in simulation 0.12 lets single seeds decide.
PRIOR_SD = 0.2
# How far learning curves cross, place at an earlier rung against place at the end, before complete trials show it.
PRIOR_CROSSING = 0.3
# The priors' degrees of freedom, and those a shared seed adds about a pair's noise, which may be twice the others'.
PRIOR_DF = 4
SEED_DF = 4
# A few residuals can be small by luck; repeated compact trainings never agree better than this.
FLOOR_SD = 0.06

# Shapes: R rungs from half of the budget on, C configurations, S seeds; "..." are studies judged side by side.
Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Name = TypeVar("Name", str, int)


class Point(NamedTuple):
    """Where a value was measured: which configuration (a cell's key), which seed, which rung (from 0)."""

    cell: str
    seed: int
    rung: int


class Spread(NamedTuple):
    """A standard deviation of log FID and the degrees of freedom behind it."""

    sd: Array
    df: Array

    @property
    def reach(self) -> Array:
        """The limit of chance: sd times Student's t at Z's tail, which is slow and so computed once per distinct df."""
        df, where = np.unique(self.df, return_inverse=True)
        return np.asarray(stdtrit(df, ndtr(Z))[where].reshape(self.df.shape) * self.sd)


class Race:
    """FID by configuration, seed and rung as it comes in, kept as the array that `behind` judges.

    Rungs (fractions of the budget) are judged from half of the budget on, each by itself and in log FID; values that
    are not positive and finite count as not measured. Rows and columns are sorted, so that a verdict is a function of
    the set of values alone, to the last bit: the order of reports cannot matter.
    """

    def __init__(self, rungs: Sequence[float], values: Mapping[Point, float] = MappingProxyType({})) -> None:
        """`values` are those known at the start; `observe` adds to them."""
        self._first = sum(share < HALF for share in rungs)
        here = {at: fid for at, fid in values.items() if self._counts(at, fid)}
        self._cells, self._seeds = sorted({at.cell for at in here}), sorted({at.seed for at in here})
        self._y_RCS = np.full((len(rungs) - self._first, len(self._cells), len(self._seeds)), np.nan)
        for at, fid in here.items():
            self.observe(at, fid)

    def observe(self, at: Point, fid: float) -> None:
        """Take a value; a later one at the same point replaces it."""
        if self._counts(at, fid):
            row, column = self._place(self._cells, at.cell, 1), self._place(self._seeds, at.seed, 2)
            self._y_RCS[at.rung - self._first, row, column] = np.log(fid)

    def eliminated(self, exempt: Collection[str] = (BASELINE_KEY,)) -> frozenset[str]:
        """Name the configurations that are clearly behind two others."""
        if len(self._cells) < 3:
            return frozenset()
        return frozenset(cell for cell, out in zip(self._cells, behind(self._y_RCS), strict=True) if out) - set(exempt)

    def _counts(self, at: Point, fid: float) -> bool:
        return at.rung >= self._first and 0 < fid < np.inf

    def _place(self, known: list[Name], name: Name, axis: int) -> int:
        """Return where a cell or a seed lies on its axis, after making room for one that is new."""
        place = bisect.bisect_left(known, name)
        if place == len(known) or known[place] != name:
            known.insert(place, name)
            self._y_RCS = np.insert(self._y_RCS, place, np.nan, axis=axis)
        return place


def eliminated(
    values: Mapping[Point, float], rungs: Sequence[float], exempt: Collection[str] = (BASELINE_KEY,)
) -> frozenset[str]:
    """Name the configurations that are clearly behind two others, given FID (> 0) by point: see `Race`."""
    return Race(rungs, values).eliminated(exempt)


def behind(y_RCS: Array) -> Mask:
    """Return which of at least two configurations are clearly behind the second best, given log FID (..., R, C, S).

    NaN was not measured; the last rung is the end of training. Two rivals, so that one lucky trial, or a baseline
    better than every cell, eliminates nobody. A configuration that has caught up at a later rung is not
    eliminated by an earlier one.
    """
    last = y_RCS.shape[-3] - 1
    end_CS = y_RCS[..., last, :, :]
    out_C = level_C = np.zeros(end_CS.shape[:-1], dtype=bool)
    no_crossing = np.zeros(end_CS.shape[:-2])
    for rung in range(last, -1, -1):
        y_CS = y_RCS[..., rung, :, :]
        gap_C, limit_C = _gaps(y_CS, no_crossing if rung == last else _crossing(end_CS - y_CS).reach)
        out_C = out_C | (gap_C > limit_C) & ~level_C
        level_C = level_C | (gap_C <= 0)
    return out_C


def _gaps(y_CS: Array, crossing: Array) -> tuple[Array, Array]:
    """Return each configuration's mean distance to the second best on n shared seeds (NaN without any), and its limit.

    limit^2 = 2 (t sd)^2 / n + 2 crossing^2, with Student's t at the tail of Z: few residuals and few shared seeds
    demand more. sd is no smaller than the pair's own spread, since noise may differ between configurations.
    """
    effect_C, noise = _additive_fit(y_CS)
    rival = np.argsort(effect_C, axis=-1)[..., 1, None, None]
    behind_CS = y_CS - np.take_along_axis(y_CS, rival, axis=-2)
    gap_C, n_C = mean_of_known(behind_CS, -1)
    pair_var_C = mean_of_known((behind_CS - gap_C[..., None]) ** 2, -1)[0] * n_C / np.maximum(n_C - 1, 1) / 2
    sd_C = np.maximum(noise.sd[..., None], np.sqrt(pair_var_C))
    least_C = np.maximum(n_C, 1)
    reach_C = Spread(sd_C, np.minimum(noise.df[..., None], SEED_DF * least_C)).reach
    return np.where(n_C > 0, gap_C, np.nan), np.sqrt(2 * reach_C**2 / least_C + 2 * crossing[..., None] ** 2)


def _crossing(move_CS: Array) -> Spread:
    """Return how far configurations move until the end, given each trial's move relative to its seed's mean.

    A configuration is one observation however many seeds it has: its curve crosses the others on all seeds alike.
    """
    move_C, n_C = mean_of_known(move_CS - mean_of_known(move_CS, -2)[0][..., None, :], -1)
    df = PRIOR_DF + np.maximum((n_C > 0).sum(axis=-1) - 1, 0)
    return Spread(np.sqrt((PRIOR_DF * PRIOR_CROSSING**2 + (move_C**2).sum(axis=-1)) / df), df)


def _additive_fit(y_CS: Array) -> tuple[Array, Spread]:
    """Fit y = configuration + seed by least squares; return effects (inf where unmeasured) and spread of residuals.

    Configurations are eliminated first, so that the system solved has only as many unknowns as there are seeds. The
    residual variance is shrunk to the prior's, as if that had been seen on PRIOR_DF degrees of freedom more.
    """
    seen_CS = np.isfinite(y_CS)
    mean_C, n_C = mean_of_known(y_CS, -1)
    share_CS = seen_CS / np.maximum(n_C, 1)[..., None]
    system_SS = np.eye(y_CS.shape[-1]) * seen_CS.sum(axis=-2)[..., None] - np.swapaxes(share_CS, -1, -2) @ seen_CS
    inverse_SS = np.linalg.pinv(system_SS, rcond=1e-9, hermitian=True)
    centred_S = np.where(seen_CS, y_CS - mean_C[..., None], 0.0).sum(axis=-2)
    left_CS = y_CS - (inverse_SS @ centred_S[..., None])[..., 0][..., None, :]
    effect_C, _ = mean_of_known(left_CS, -1)
    squares = (np.where(seen_CS, left_CS - effect_C[..., None], 0.0) ** 2).sum(axis=(-1, -2))
    rank = np.rint((inverse_SS * system_SS).sum(axis=(-1, -2)))
    df = PRIOR_DF + n_C.sum(axis=-1) - (n_C > 0).sum(axis=-1) - rank
    sd = np.maximum(np.sqrt((PRIOR_DF * PRIOR_SD**2 + squares) / df), FLOOR_SD)
    return np.where(n_C > 0, effect_C, np.inf), Spread(sd, df)
