"""Configuration and seed-block effects of a log objective, by least squares, and which cells may be the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from statsmodels.regression.linear_model import OLS

from sweeper.statistics.moments import moments

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# How many of the lowest cells each cell is compared with: the best of many is among them.
FRONT = 32


@dataclass(frozen=True)
class Effects:
    """y = cell + seed + noise, fitted: cells' `effect_C` (their mean over the seeds), residual `sd` on `df` degrees.

    `seed_cov_SS` is the covariance of the seed effects in units of the residual variance; `weight_CS` says how a
    cell's observations lie over seeds (rows sum to 1).
    """

    y_CS: Matrix
    effect_C: Matrix
    n_C: npt.NDArray[np.int64]
    weight_CS: Matrix
    seed_cov_SS: Matrix
    sd: float
    df: int

    def standard_errors(self, others: npt.NDArray[np.int64]) -> Matrix:
        """Return the standard errors [C, K] of every cell's difference to each of the K `others`.

        From three shared seeds on, the residual spread counts for no less than the pair's own: noise may differ
        between configurations.
        """
        own_CKS = self.y_CS[:, None, :] - self.y_CS[None, others, :]
        shared = moments(own_CKS)
        sd_CK = np.where(shared.n > 2, np.fmax(np.sqrt(shared.variance / 2), self.sd), self.sd)
        apart_CKS = self.weight_CS[:, None, :] - self.weight_CS[None, others, :]
        seeds_CK = np.einsum("cks,st,ckt->ck", apart_CKS, self.seed_cov_SS, apart_CKS)
        return np.asarray(sd_CK * np.sqrt(1 / self.n_C[:, None] + 1 / self.n_C[None, others] + seeds_CK))


def fit_effects(y_CS: Matrix) -> Effects | None:
    """Fit cells (each measured at least once) and seeds; None when no degree of freedom is left for noise.

    Cells are swept out first (Frisch, Waugh & Lovell), so that the regression has one column a seed however many
    cells there are; its degrees of freedom are corrected for them.
    """
    seen_CS = np.isfinite(y_CS)
    n_C = seen_CS.sum(axis=1)
    weight_CS = seen_CS / n_C[:, None]
    mean_C = np.nansum(y_CS, axis=1) / n_C
    cells, seeds = np.nonzero(seen_CS)
    # The first seed is the reference; the effect of a seed that only one cell has cannot be estimated.
    design = (np.eye(y_CS.shape[1])[seeds] - weight_CS[cells])[:, 1:]
    rank = int(np.linalg.matrix_rank(design)) if design.size else 0
    df = len(cells) - len(n_C) - rank
    if df < 1:
        return None
    within = y_CS[cells, seeds] - mean_C[cells]
    seed_S, cov_SS, squares = np.zeros(y_CS.shape[1]), np.zeros((y_CS.shape[1],) * 2), float(within @ within)
    if rank:
        fitted = OLS(within, design).fit()
        seed_S[1:], cov_SS[1:, 1:], squares = fitted.params, fitted.normalized_cov_params, float(fitted.ssr)
    # An effect is the cell's level at the average seed.
    level = weight_CS @ seed_S - seed_S.mean()
    return Effects(y_CS, mean_C - level, n_C, weight_CS, cov_SS, float(np.sqrt(squares / df)), df)


def possibly_best(effects: Effects, alpha: float) -> Mask:
    """Return which cells are not shown to be worse than some other one, [C].

    Hsu's multiple comparisons with the best (Hsu 1984): the truly best cell is among them with probability 1 - alpha
    at least. The critical value is Bonferroni's over the other cells, which bounds Dunnett's from above.
    """
    count = len(effects.effect_C)
    if count < 2:
        return np.ones(count, dtype=bool)
    critical = stdtrit(effects.df, 1 - alpha / (count - 1))
    front = np.argsort(effects.effect_C, kind="stable")[:FRONT]
    behind_CK = effects.effect_C[:, None] - effects.effect_C[None, front]
    worse_CK = behind_CK > critical * effects.standard_errors(front)
    worse_CK[front, np.arange(len(front))] = False
    return np.asarray(~worse_CK.any(axis=1))
