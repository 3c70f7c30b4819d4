"""The effect of every level of a knob in one study: an additive fit on each seed by itself, then a mean over seeds.

Cells of a seed share initial weights, data order and baseline, so the unit of replication is the seed, not the cell.
Shapes: C settings, J seeds, L levels.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sweeper.statistics.baseline_level import baseline_level
from sweeper.statistics.effects import fit_effects

Matrix = npt.NDArray[np.float64]
ESTIMABLE = 1e-8


class BaselineLuck(NamedTuple):
    """What a screen's further seeds of lambda 0 tell of its luck on the settings' seeds.

    `shift` is what they add to every change against it, on the log scale; `paired` the squared standard error of its
    level on the settings' seeds alone, and `joined` that of the level which uses its further seeds too.
    """

    shift: float
    paired: float
    joined: float


class LevelEffects(NamedTuple):
    """Levels of a knob on seeds, [L, J]: change of the log objective to lambda 0, and to the mean of other levels.

    `luck` is None where lambda 0 has no further seeds.
    """

    levels: tuple[str, ...]
    against_LJ: Matrix
    among_LJ: Matrix
    luck: BaselineLuck | None = None


def level_effects(
    y_CJ: Matrix, levels_C: Sequence[str], others: Mapping[str, Sequence[Hashable]], order: Sequence[str]
) -> LevelEffects:
    """Fit `y_CJ`, complete changes to the baseline, by the knob's level and additive `others`, on every seed.

    A level's effect is at the average of the others; one that occurs only with levels of another knob has none, NaN.
    """
    levels = tuple(sorted(set(levels_C), key=list(order).index))
    own_CL = np.array([[one == level for level in levels] for one in levels_C], dtype=float)
    beside_CD = np.hstack([np.empty((len(levels_C), 0)), *map(_dummies, others.values())])
    design_CP = np.hstack([own_CL, beside_CD])
    inverse_PC = np.linalg.pinv(design_CP)
    average_D = beside_CD.mean(axis=0)
    mean_LP = np.hstack([np.eye(len(levels)), np.tile(average_D, (len(levels), 1))])
    return LevelEffects(
        levels,
        _estimates(mean_LP, design_CP, inverse_PC, y_CJ),
        _estimates(_to_others(mean_LP), design_CP, inverse_PC, y_CJ),
    )


def _to_others(mean_LP: Matrix) -> Matrix:
    count = len(mean_LP)
    if count < 2:
        return np.full_like(mean_LP, np.nan)
    return np.asarray(mean_LP - (mean_LP.sum(axis=0) - mean_LP) / (count - 1))


def _estimates(wanted_LP: Matrix, design_CP: Matrix, inverse_PC: Matrix, y_CJ: Matrix) -> Matrix:
    if not np.isfinite(wanted_LP).all():
        return np.full((len(wanted_LP), y_CJ.shape[1]), np.nan)
    weight_LC = wanted_LP @ inverse_PC
    exact_L = np.abs(weight_LC @ design_CP - wanted_LP).max(axis=1) < ESTIMABLE
    return np.where(exact_L[:, None], weight_LC @ y_CJ, np.nan)


def _dummies(levels_C: Sequence[Hashable]) -> Matrix:
    known = list(dict.fromkeys(levels_C))[1:]  # the first one is in every level of the knob already
    return np.array([[one == level for level in known] for one in levels_C], dtype=float).reshape(len(levels_C), -1)


def baseline_luck(y_CJ: Matrix, baseline_J: Matrix, further_K: Matrix) -> BaselineLuck | None:
    """Estimate the luck that all changes of a screen share, from K further seeds of lambda 0.

    `y_CJ` are the settings' complete changes to the baseline, `baseline_J` and `further_K` its log objective. None
    without further seeds, or without a degree of freedom for noise.
    """
    if not len(further_K):
        return None
    effects = fit_effects(np.vstack([baseline_J, y_CJ + baseline_J]))
    if effects is None:
        return None
    paired, joined = (baseline_level(effects, further) for further in (further_K[:0], further_K))
    return BaselineLuck(paired.mean - joined.mean, paired.error**2, joined.error**2)


def against_baseline(effects: LevelEffects) -> tuple[Matrix, Matrix]:
    """Return every level's change to lambda 0 and its squared standard error, [L]."""
    mean_L, variance_L = over_seeds(effects.against_LJ)
    if effects.luck is None:
        return mean_L, variance_L
    # The levels' own part: what their spread over seeds has beside the baseline's, and no less than they differ by.
    _, between_L = over_seeds(effects.among_LJ)
    own_L = np.fmax(variance_L - effects.luck.paired, between_L * (1 - 1 / len(mean_L)))
    return mean_L + effects.luck.shift, np.maximum(own_L, 0.0) + effects.luck.joined


def over_seeds(effects_LJ: Matrix) -> tuple[Matrix, Matrix]:
    """Return every level's mean over seeds and its squared standard error, [L].

    All levels of the knob share one variance: two or three seeds hardly determine a level's own, and a meta-analysis
    would then weight scopes by chance.
    """
    seeds = effects_LJ.shape[1]
    mean_L = effects_LJ.mean(axis=1)
    if seeds < 2:
        return mean_L, np.full_like(mean_L, np.nan)
    own_L = effects_LJ.var(axis=1, ddof=1) / seeds
    shared = float(np.nanmean(own_L)) if np.isfinite(own_L).any() else float("nan")
    return mean_L, np.where(np.isfinite(mean_L), shared, np.nan)
