"""Paired tests in planned looks: one arm against the baseline while fresh seeds arrive, and when an arm ends.

The schedule is fixed before the first fresh seed. After each look every open arm is tested; an arm that is confirmed,
or can hardly gain half a standard deviation, takes no further seeds. K arms, S fresh seeds in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from sweeper.statistics.effects import Matrix
from sweeper.statistics.error_budget import FEWEST_SEEDS
from sweeper.statistics.look_levels import LookLevels, look_levels
from sweeper.statistics.paired_tests import Interval, holm
from sweeper.statistics.screen_noise import Prior, prior_of_screen
from trainer.recipe import Better

__all__ = [
    "Ending", "Equivalence", "Judging", "PairedInLooks", "Prior", "direction_of", "endings", "enough_runs",
    "log_ratios", "prior_of_screen",
]  # fmt: skip

# A prior of two degrees of freedom lifts power at few seeds; more is not safe where noise differs between settings.
PRIOR_DF = 2
# An arm is futile when a gain of WORTHWHILE standard deviations of the differences, about what the last look confirms,
# is REACH standard errors of the remaining seeds away. Measured on looks at 3, 5, 8, 12, 20: 30 trials without an
# effect instead of 34 where an arm ends one standard error of all its seeds below half an sd, and the same power.
WORTHWHILE, REACH = 0.7, 1.65
# Harm is harm to a baseline whose bad runs may not have shown: if 15 % of lambda 0's runs end 12 sd higher, its mean is
# 1.8 sd above its good runs. So much harm and some noise has to be exceeded, until lambda 0 has so many runs that the
# chance that all are good is `UNSEEN` at most.
HIDDEN, BAD_SHARE, UNSEEN = 2.5, 0.15, 0.05


class Ending(NamedTuple):
    """How an arm stands after the looks it has had."""

    state: Literal["open", "confirmed", "futile"]
    look: int  # seeds it had when it ended, or has so far
    p: float  # adjusted, of its tested direction


class Equivalence(NamedTuple):
    """What counts as equivalent: a change within +- `margin` (log), shown at the level `alpha`."""

    margin: float
    alpha: float


class Judging(NamedTuple):
    """How a family of arms is judged: after how many seeds, and under which noise, as `PairedInLooks` takes both.

    With `equivalence` an arm that can hardly be confirmed any more goes on while it may still prove equivalent.
    """

    looks: tuple[int, ...]
    prior: Prior | None = None
    least_noise: float = 0.0
    equivalence: Equivalence | None = None


class PairedInLooks:
    """Differences of a log objective to the baseline's, one a fresh seed, in order, up to the look an arm stands at.

    At least two are finite; a seed with another is left out. Every figure holds at whichever look the arm ended, and
    under the noise that the screen shows. One look without a prior is `Paired`.
    """

    def __init__(
        self,
        differences: npt.NDArray[np.float64],
        looks: Sequence[int],
        prior: Prior | None = None,
        least_noise: float = 0.0,
    ) -> None:
        """`least_noise` is a lower bound on the standard deviation of differences, for a discrete metric."""
        known = differences[np.isfinite(differences)]
        assert len(known) > 1
        self.n, self.mean = len(known), float(known.mean())
        self._looks, self._prior, self._seeds = tuple(looks), prior, len(differences)
        ends = [look for look in self._looks if look < self._seeds] + [self._seeds]
        self._at = [
            _Look(differences[:end], prior, least_noise) for end in ends if np.isfinite(differences[:end]).sum() > 1
        ]
        self._exact = float(np.ptp(known)) == 0.0 and not least_noise

    def p_value(self, direction: Better, against: float = 0.0) -> float:
        """Return the one-sided p-value, over all looks so far, that the objective is lower (or higher) than that."""
        return self._p_value(direction, [against] * len(self._at))

    def p_of_claim(self, direction: Better, better: Better = "lower", metrics: int = 1) -> float:
        """Return the p-value of a change in this direction; harm has to exceed what unseen bad runs could explain.

        `metrics` is in how many metrics harm is looked for together: bad runs may be unseen in any of them.
        """
        seen, enough = self._prior.baseline_runs if self._prior else 0, enough_runs(metrics)
        sign = 1 if direction == "higher" else -1
        hidden = [
            0.0 if direction == better or look.n + seen >= enough else sign * HIDDEN * look.sd for look in self._at
        ]
        return self._p_value(direction, hidden)

    def interval(self, alpha: float) -> Interval:
        """Return the interval that misses with probability `alpha` at most, whichever look the arm ended at."""
        if self._exact:
            return Interval(self.mean, self.mean)
        # The lower end is passed by a test that finds the objective higher.
        low, high = (
            self._at[-1].reach(min(levels.nominal(alpha / 2, self._seeds) for levels in self._levels(side)))
            for side in ("higher", "lower")
        )
        return Interval(self.mean - low, self.mean + high)

    def bound(self, direction: Better, alpha: float) -> float:
        """Return the end of the one-sided interval that belongs to `p_value`: it excludes 0 where p is below it."""
        if self._exact:
            return self.mean
        ends = [
            (look.mean, look.reach(min(levels.nominal(alpha, look.seeds) for levels in self._levels(direction))))
            for look in self._at
        ]
        if direction == "lower":
            return min(mean + reach for mean, reach in ends)
        return max(mean - reach for mean, reach in ends)

    def equivalence(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (TOST) that the difference lies within +- `margin`."""
        return max(self.p_value("lower", margin), self.p_value("higher", -margin))

    def may_be_equivalent(self, within: Equivalence) -> bool:
        """Whether equivalence within the margin is not shown yet, but may be by later looks."""
        if self.equivalence(within.margin) <= within.alpha:
            return False
        now, last = self._at[-1], self._looks[-1]
        df = last - 1 + (PRIOR_DF if self._prior else 0)
        reach = float(stdtrit(df, 1 - within.alpha)) * now.sd / math.sqrt(last)
        return abs(self.mean) - REACH * now.sd * self._to_come() + reach < within.margin and reach < within.margin

    def is_futile(self, direction: Better, needed: float = WORTHWHILE) -> bool:
        """Whether later looks can hardly show a change of `needed` standard deviations in this direction."""
        now = self._at[-1]
        gain = -self.mean if direction == "lower" else self.mean
        return gain + REACH * now.sd * self._to_come() <= needed * now.sd

    def _to_come(self) -> float:
        # The standard error of how far the mean moves by the last look, in standard deviations of a difference.
        return math.sqrt(max(1 / self._seeds - 1 / self._looks[-1], 0.0))

    def _p_value(self, direction: Better, against: Sequence[float]) -> float:
        if self._exact:
            gap = self.mean - against[-1] if direction == "lower" else against[-1] - self.mean
            return 0.0 if gap < 0 else 1.0
        raw = [look.p_value(direction, limit) for look, limit in zip(self._at, against, strict=True)]
        return max(_worth(levels, self._at, raw) for levels in self._levels(direction))

    def _levels(self, direction: Better) -> list[LookLevels]:
        if self._prior is None:
            return [look_levels(self._looks)]
        return [look_levels(self._looks, PRIOR_DF, law) for law in self._prior.laws(direction)]


def _worth(levels: LookLevels, looks: Sequence[_Look], raw: Sequence[float]) -> float:
    return levels.chance(min(p / levels.weights[levels.place(look.seeds)] for p, look in zip(raw, looks, strict=True)))


class _Look:
    # The t-test at one look, its variance moderated by the prior (limma: Smyth 2004).
    def __init__(self, differences: npt.NDArray[np.float64], prior: Prior | None, least_noise: float) -> None:
        known = differences[np.isfinite(differences)]
        self.seeds, self.n, self.mean = len(differences), len(known), float(known.mean())
        self.sd, self.df = float(known.std(ddof=1)), self.n - 1
        if prior:
            self.df += PRIOR_DF
            self.sd = math.sqrt((PRIOR_DF * prior.sd**2 + (self.n - 1) * self.sd**2) / self.df)
        self.sd = max(self.sd, least_noise)
        self.error = self.sd / self.n**0.5

    def p_value(self, direction: Better, against: float) -> float:
        gap = self.mean - against if direction == "lower" else against - self.mean
        # First seeds that agree bit for bit say nothing yet about the noise: later ones may not agree.
        return float(stdtr(self.df, gap / self.error)) if self.error > 0 else 1.0

    def reach(self, level: float) -> float:
        return float(stdtrit(self.df, 1 - level) * self.error)


def enough_runs(metrics: int = 1) -> int:
    """Return how many runs of lambda 0 are enough to have seen a bad one, were there any, in each of so many metrics.

    >>> enough_runs(), enough_runs(3)
    (19, 26)
    """
    return math.ceil(math.log(UNSEEN / metrics) / math.log(1 - BAD_SHARE))


def direction_of(mean: float) -> Better:
    """Return the side on which the screen saw a setting: below the baseline, or above it."""
    return "lower" if mean < 0 else "higher"


def log_ratios(own: Matrix, other: Matrix, failed: npt.NDArray[np.bool_]) -> Matrix:
    """Return the log of an arm's objective over another's, as `endings` takes them; arrays of one shape, NaN for none.

    inf where the arm `failed`, or where either is 0 or less: leaving those out would choose by the outcome. -inf where
    only the other has no figure.
    """
    positive = (own > 0) & (other > 0)
    ratio = np.where(positive, np.log(np.where(positive, own, 1.0)) - np.log(np.where(positive, other, 1.0)), -np.inf)
    return np.asarray(np.where(failed | (own <= 0) | (other <= 0), np.inf, ratio))


def endings(
    difference_KS: Matrix,
    directions: Sequence[Better],
    judging: Judging,
    alpha: float,
    marked: Sequence[bool] = (),
) -> list[Ending]:
    """Replay the looks that a family of arms had and return how each arm stands; `alpha` holds for the family (Holm).

    Lower is better. Harm ends as futile when it can hardly be as large as early looks confirm; that of `marked` arms,
    which a reader asks about, is followed to the last look.

    `difference_KS` is log objective minus the baseline's, [K, S]: NaN where not run (or not yet); inf where the arm
    diverged or failed: it cannot be confirmed and is futile at that look; -inf where only the baseline did: that seed
    is left out. A look is judged when every open arm has it. Whatever ended stays ended; a futile arm stays in the
    family with its p-value.
    """
    ending_K = [Ending("open", 0, 1.0) for _ in difference_KS]
    for look in judging.looks:
        open_K = [k for k, ending in enumerate(ending_K) if ending.state == "open"]
        if not open_K or np.isnan(difference_KS[open_K, :look]).any() or look > difference_KS.shape[1]:
            break
        for k in open_K:
            needed = HIDDEN if directions[k] == "higher" and not (marked and marked[k]) else WORTHWHILE
            ending_K[k] = _after(difference_KS[k, :look], directions[k], judging, needed)
        raw = [_p_value(difference_KS[k, : ending.look], directions[k], judging) for k, ending in enumerate(ending_K)]
        ending_K = [
            Ending("confirmed" if p <= alpha else ending.state, ending.look, p)
            for ending, p in zip(ending_K, holm(raw), strict=True)
        ]
    return ending_K


def _after(difference_S: Matrix, direction: Better, judging: Judging, needed: float) -> Ending:
    look = len(difference_S)
    ends = look >= judging.looks[-1] or (difference_S == np.inf).any() or np.isfinite(difference_S).sum() < 2
    if not ends:
        tested = PairedInLooks(difference_S, judging.looks, judging.prior, judging.least_noise)
        within = judging.equivalence
        ends = tested.is_futile(direction, needed) and not (within and tested.may_be_equivalent(within))
    return Ending("futile" if ends else "open", look, 1.0)


def _p_value(difference_S: Matrix, direction: Better, judging: Judging) -> float:
    if (difference_S == np.inf).any() or np.isfinite(difference_S).sum() < FEWEST_SEEDS:
        return 1.0
    return PairedInLooks(difference_S, judging.looks, judging.prior, judging.least_noise).p_of_claim(direction)
