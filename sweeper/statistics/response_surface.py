"""The log objective over the knobs of a study: every setting's change against lambda 0, with its uncertainty.

Fitted to a screen, so it chooses and describes, and claims nothing. Shapes: C settings, S seeds, P points, K knobs, N
posterior samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sweeper.statistics.baseline_level import Level, baseline_level
from sweeper.statistics.cell_noise import joint_noise, level_variances, residuals
from sweeper.statistics.early_rungs import foresee
from sweeper.statistics.effects import Effects, Matrix, fit_effects
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.gaussian_process import Array, Knobs, posterior

FEWEST_CELLS, FEWEST_SURFACE_SEEDS = 4, 2
NO_NOISE = 1e-9  # runs that are the same bit for bit

Points = slice | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """Posterior samples of log ratios to the baseline at every point, `change_NP`; below 0 is better.

    The points are the settings, in their order, and then whatever else was asked for.
    """

    change_NP: Array

    @property
    def mean(self) -> Array:
        """The expected log ratio, [P]."""
        return np.asarray(self.change_NP.mean(axis=0))

    @property
    def sd(self) -> Array:
        """Its standard deviation, [P]: the baseline's luck included, which all points share."""
        return np.asarray(self.change_NP.std(axis=0))

    def band(self, points: Points, alpha: float = INTERVAL_ALPHA) -> tuple[Array, Array]:
        """Return both ends of a band that holds all of these points at once with probability 1 - alpha."""
        mean_P, sd_P = self.mean[points], np.maximum(self.sd[points], 1e-12)
        away_N = (np.abs(self.change_NP[:, points] - mean_P) / sd_P).max(axis=1)
        reach_P = np.quantile(away_N, 1 - alpha) * sd_P
        return mean_P - reach_P, mean_P + reach_P

    def near_best(self, points: Points, margin: float) -> Array:
        """Return the probability that each of these lies within `margin` (log) of the best of them and lambda 0."""
        here_NP = self.change_NP[:, points]
        best_N = np.minimum(here_NP.min(axis=1), 0.0)
        return np.asarray((here_NP - best_N[:, None] <= margin).mean(axis=0))

    def best(self, points: Points) -> npt.NDArray[np.int64]:
        """Return which of these points is the lowest in every sample, [N]."""
        return np.asarray(self.change_NP[:, points].argmin(axis=1))


class Costs(NamedTuple):
    """What each of L levels costs against a reference: log ratio, a 95 % interval that holds for all of them together.

    `within_L` is the probability that a level costs at most the margin.
    """

    mean_L: Array
    low_L: Array
    high_L: Array
    within_L: Array


def costs(surface: Surface, levels: Sequence[npt.NDArray[np.int64]], reference: int | None, margin: float) -> Costs:
    """Compare levels, each the average of its points, with one of them, or with lambda 0 where that is None."""
    level_NL = np.stack([surface.change_NP[:, points].mean(axis=1) for points in levels], axis=1)
    own_N = 0.0 if reference is None else level_NL[:, [reference]]
    cost = Surface(level_NL - own_N)
    # Half the usual level: the reference is often the setting that looked best on these very seeds.
    low_L, high_L = cost.band(slice(None), INTERVAL_ALPHA / 2)
    return Costs(cost.mean, low_L, high_L, np.asarray((cost.change_NP <= margin).mean(axis=0)))


class Screen(NamedTuple):
    """Log objectives of a screen: of settings at the end and at an earlier rung, and of the baseline at the end.

    NaN where nothing was measured. A setting that was stopped has its earlier rung alone.
    """

    y_CS: Matrix
    baseline_S: Matrix
    early_CS: Matrix | None = None

    def shared(self) -> tuple[Screen, Matrix]:
        """Return what was measured on seeds that settings ran on, and what the baseline was on further ones, [S]."""
        seen_CS = np.isfinite(self.y_CS)
        if self.early_CS is not None:
            seen_CS = seen_CS | np.isfinite(self.early_CS)
        here_S = seen_CS.any(axis=0)
        early_CS = None if self.early_CS is None else self.early_CS[:, here_S]
        further_S = self.baseline_S[~here_S]
        return Screen(self.y_CS[:, here_S], self.baseline_S[here_S], early_CS), further_S[np.isfinite(further_S)]


def why_none(screen: Screen) -> str:
    """Return why a screen has no surface, empty where it has one."""
    seen = np.isfinite(screen.y_CS) & np.isfinite(screen.baseline_S)
    cells, seeds = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
    if not np.isfinite(screen.baseline_S).any():
        return "lambda 0 has not finished"
    if cells < FEWEST_CELLS:
        settings = "setting" if cells == 1 else "settings"
        return f"{cells} finished {settings}, too few for a surface, which takes {FEWEST_CELLS}"
    if seeds < FEWEST_SURFACE_SEEDS:
        return "one seed says nothing about the noise"
    return "" if _estimates(screen) else "there are too few trials to tell noise from effects"


def fit_surface(screen: Screen, knobs: Knobs, seed: int = 0) -> Surface | None:
    """Fit a surface over a screen; None where it has too few settings or seeds (see `why_none`).

    `knobs` places the C settings, and behind them further points at which to predict.
    """
    if why_none(screen):
        return None
    estimates = _estimates(screen)
    assert estimates is not None
    rng = np.random.default_rng(seed)
    order = np.concatenate([estimates.kept, np.setdiff1d(np.arange(len(knobs.place_PK)), estimates.kept)])
    placed = knobs._replace(place_PK=knobs.place_PK[order])
    noise_CC = joint_noise(estimates.variance_C, estimates.residual_CS, placed.place_PK[: len(estimates.kept)])
    drawn_NP = posterior(estimates.level_C, noise_CC, placed, rng)
    level_NP = np.empty_like(drawn_NP)
    level_NP[:, order] = drawn_NP
    # The noise variance is itself an estimate.
    scale_N = np.sqrt(estimates.df / rng.chisquare(estimates.df, len(level_NP)))
    mean_P = level_NP.mean(axis=0)
    level_NP = mean_P + (level_NP - mean_P) * scale_N[:, None]
    luck_N = estimates.baseline.error * rng.standard_t(estimates.baseline.df, len(level_NP))
    return Surface(level_NP - (estimates.baseline.mean + luck_N)[:, None])


class _Estimates(NamedTuple):
    # Levels of the settings in `kept` and the variance of each; residuals of those that finished, NaN elsewhere.
    kept: npt.NDArray[np.int64]
    level_C: Array
    variance_C: Array
    residual_CS: Matrix
    df: int
    baseline: Level


def _estimates(everything: Screen) -> _Estimates | None:
    whole = np.flatnonzero(np.isfinite(everything.y_CS).any(axis=1))
    screen, further_S = everything.shared()
    effects = fit_effects(np.vstack([screen.baseline_S, screen.y_CS[whole]]))
    if effects is None or effects.sd < NO_NOISE or not np.isfinite(screen.baseline_S).any():
        return None
    residual_CS = residuals(effects)[1:]
    later = foresee(screen.early_CS, whole, _without_baseline(effects)) if screen.early_CS is not None else None
    stopped = later.cells if later else whole[:0]
    unknown_CS = np.full((len(stopped), residual_CS.shape[1]), np.nan)
    return _Estimates(
        kept=np.concatenate([whole, stopped]),
        level_C=np.concatenate([effects.effect_C[1:], later.level_C if later else []]),
        variance_C=np.concatenate([level_variances(effects)[1:], later.variance_C if later else []]),
        residual_CS=np.vstack([residual_CS, unknown_CS]),
        df=effects.df,
        baseline=baseline_level(effects, further_S),
    )


def _without_baseline(effects: Effects) -> Effects:
    return replace(
        effects,
        y_CS=effects.y_CS[1:],
        effect_C=effects.effect_C[1:],
        n_C=effects.n_C[1:],
        weight_CS=effects.weight_CS[1:],
    )
