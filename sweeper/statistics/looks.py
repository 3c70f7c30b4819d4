"""Paired tests in planned looks: one arm against the baseline while fresh seeds arrive, and when an arm ends.

The schedule is fixed before the first fresh seed. After each look every open arm is tested; who is confirmed, or can
hardly gain half a standard deviation, takes no further seeds. K arms, S fresh seeds in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from sweeper.statistics.effects import Matrix
from sweeper.statistics.look_levels import LookLevels, look_levels
from sweeper.statistics.moments import moments
from sweeper.statistics.noise import pairing
from sweeper.statistics.paired_tests import Interval, holm
from trainer.recipe import Better

# A prior of two degrees of freedom lifts power at few seeds; more is not safe where noise differs between settings.
PRIOR_DF = 2
FEWEST_DF = 6
# An arm is futile when a gain of half a standard deviation of the differences is this many standard errors away.
WORTHWHILE, REACH = 0.5, 1.0


class Prior(NamedTuple):
    """What the screen says about the noise of paired differences: their pooled standard deviation, and its df."""

    sd: float
    df: int


class Ending(NamedTuple):
    """How an arm stands after the looks it has had."""

    state: Literal["open", "confirmed", "futile"]
    look: int  # seeds it had when it ended, or has so far
    p: float  # adjusted, of its tested direction


class PairedInLooks:
    """Differences of a log objective to the baseline's, one a fresh seed, in order, up to the look an arm stands at.

    Every figure holds at whichever look the arm ended. One look without a prior is `Paired`.
    """

    def __init__(self, differences: npt.NDArray[np.float64], looks: Sequence[int], prior: Prior | None = None) -> None:
        assert len(differences) > 1
        self.n, self.mean = len(differences), float(differences.mean())
        self._levels: LookLevels = look_levels(tuple(looks), PRIOR_DF if prior else 0)
        ends = [look for look in self._levels.looks if look < self.n] + [self.n]
        self._at = [_Look(differences[:end], prior) for end in ends]
        self._exact = float(np.ptp(differences)) == 0.0

    def p_value(self, direction: Better, against: float = 0.0) -> float:
        """Return the one-sided p-value, over all looks so far, that the objective is lower (or higher) than that."""
        if self._exact:
            gap = self.mean - against if direction == "lower" else against - self.mean
            return 0.0 if gap < 0 else 1.0
        weights = self._levels.weights
        ratios = [look.p_value(direction, against) / weights[self._levels.place(look.n)] for look in self._at]
        return self._levels.chance(min(ratios))

    def interval(self, alpha: float) -> Interval:
        """Return the interval that misses with probability `alpha` at most, whichever look the arm ended at."""
        if self._exact:
            return Interval(self.mean, self.mean)
        return self._at[-1].interval(self._levels.nominal(alpha / 2, self.n))

    def equivalence(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (TOST) that the difference lies within +- `margin`."""
        return max(self.p_value("lower", margin), self.p_value("higher", -margin))

    def is_futile(self, direction: Better) -> bool:
        """Whether a change worth having in this direction can hardly be reached."""
        gain = -self.mean if direction == "lower" else self.mean
        return bool(gain + REACH * self._at[-1].error < WORTHWHILE * self._at[-1].sd)


class _Look:
    # The t-test at one look, its variance moderated by the prior (limma: Smyth 2004).
    def __init__(self, differences: npt.NDArray[np.float64], prior: Prior | None) -> None:
        self.n, self.mean = len(differences), float(differences.mean())
        self.sd, self.df = float(differences.std(ddof=1)), self.n - 1
        if prior:
            self.df += PRIOR_DF
            self.sd = math.sqrt((PRIOR_DF * prior.sd**2 + (self.n - 1) * self.sd**2) / self.df)
        self.error = self.sd / self.n**0.5

    def p_value(self, direction: Better, against: float) -> float:
        gap = self.mean - against if direction == "lower" else against - self.mean
        return float(stdtr(self.df, gap / self.error)) if self.error > 0 else 1.0

    def interval(self, level: float) -> Interval:
        reach = float(stdtrit(self.df, 1 - level)) * self.error
        return Interval(self.mean - reach, self.mean + reach)


def prior_of_screen(y_CS: Matrix, baseline_S: Matrix) -> Prior | None:
    """Pool the noise of the screen's paired differences over its settings [C, S]; None where it cannot tell."""
    pooled = pairing(y_CS, baseline_S)
    if pooled is None or pooled.difference_sd <= 0:
        return None
    df = int(np.maximum(moments(y_CS - baseline_S).n - 1, 0).sum())
    return Prior(pooled.difference_sd, df) if df >= FEWEST_DF else None


def endings(
    difference_KS: Matrix,
    directions: Sequence[Better],
    looks: Sequence[int],
    alpha: float,
    prior: Prior | None = None,
) -> list[Ending]:
    """Replay the looks that a family of arms had and return how each arm stands; `alpha` holds for the family (Holm).

    `difference_KS` is log objective minus the baseline's, [K, S]: NaN where not run (or not yet), infinite where either
    run diverged or failed; an arm with such a seed cannot be confirmed and is futile at that look. A look is judged
    when every open arm has it. Whatever ended stays ended; a futile arm stays in the family with its p-value.
    """
    found = [Ending("open", 0, 1.0) for _ in difference_KS]
    for look in looks:
        open_K = [k for k, ending in enumerate(found) if ending.state == "open"]
        if not open_K or np.isnan(difference_KS[open_K, :look]).any() or look > difference_KS.shape[1]:
            break
        for k in open_K:
            found[k] = _after(difference_KS[k, :look], directions[k], looks, prior)
        raw = [_p_value(difference_KS[k, : one.look], directions[k], looks, prior) for k, one in enumerate(found)]
        found = [
            Ending("confirmed" if p <= alpha else one.state, one.look, p)
            for one, p in zip(found, holm(raw), strict=True)
        ]
    return found


def _after(difference_S: Matrix, direction: Better, looks: Sequence[int], prior: Prior | None) -> Ending:
    look = len(difference_S)
    if not np.isfinite(difference_S).all():
        return Ending("futile", look, 1.0)
    futile = look < looks[-1] and PairedInLooks(difference_S, looks, prior).is_futile(direction)
    return Ending("futile" if futile or look == looks[-1] else "open", look, 1.0)


def _p_value(difference_S: Matrix, direction: Better, looks: Sequence[int], prior: Prior | None) -> float:
    if len(difference_S) < 2 or not np.isfinite(difference_S).all():
        return 1.0
    return PairedInLooks(difference_S, looks, prior).p_value(direction)
