"""The noise of paired differences, estimated from a screen: its size, its skewness, and runs that end badly.

The estimand of every claim is the mean of the log ratio to the baseline (a geometric mean over seeds), bad runs
included. A few fresh seeds cannot show that noise is skewed or that one run in seven ends badly; a screen of C settings
on S seeds can, since all of them share the law. Apart from the variance, these estimates only make a test stricter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from sweeper.statistics.effects import Mask, Matrix
from sweeper.statistics.noise import pairing
from sweeper.statistics.noise_laws import NORMAL, NoiseLaw
from trainer.recipe import Better

FEWEST_DF = 6
# Added to the measured skewness, which 30 settings on three seeds give within .35 under normal noise: exponential noise
# is false in 4 % of studies with it and in 5.4 % without; a gain of one sd loses one point of power.
CAUTION = 0.4
MOST_SKEWNESS = 4.0
# A run is bad this many standard deviations away from its setting's others; fewer of them than this share are chance.
FAR, BAD_SHARE, FEWEST_BAD = 6.0, 0.05, 2
# What a run of the baseline on a seed of its own counts for. Where 15 % of its runs end badly, and 14 are beside three
# shared ones, 1.0 to 2.6 % of 500 studies claim harm that is none (`python -m tests.simulation.looks --further 14`);
# 29 % on three fresh seeds if all such runs count, 5 % if they count whole unless one ended badly.
UNSHARED = 0.5
# The median over normal triples of the distance between the two closest is .36 sd. A bad run leaves a cell the distance
# of two, a wider one: at 15 % of bad runs this constant gives the sd, and without any four fifths of it.
CLOSEST_OF_THREE = 0.4465
SHARES = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
SIZES = np.array([6.0, 9.0, 12.0, 18.0, 25.0, 40.0])


class BadRuns(NamedTuple):
    """Runs that ended far away on one side: how many of how many, the share they may have, how far in sd of others."""

    side: Better
    bad: int
    runs: int
    shares: tuple[float, ...]
    size: float


class Prior(NamedTuple):
    """The pooled standard deviation of paired differences, its df, and what endangers a t-test.

    `baseline_runs` counts the runs that suggest that the baseline has no bad ones. `skewness` is that of the
    differences, due to the settings' own noise.
    """

    sd: float
    df: int
    baseline_runs: int = 0
    skewness: float = 0.0
    bad: BadRuns | None = None

    def laws(self, direction: Better) -> tuple[NoiseLaw, ...]:
        """Return the laws of noise under which a test in this direction has to hold, their long tail against it."""
        skewness = self.skewness if direction == "lower" else -self.skewness
        rounded = min(max(round(2 * (skewness + CAUTION)) / 2, 0.0), MOST_SKEWNESS)
        laws = [NORMAL, *([NoiseLaw(rounded)] if rounded else [])]
        if self.bad and self.bad.side != direction:
            laws += [NoiseLaw(0.0, share, self.bad.size) for share in self.bad.shares]
        return tuple(laws)


def prior_of_screen(y_CS: Matrix, baseline_S: Matrix, least_noise: float = 0.0) -> Prior | None:
    """Measure the noise of settings [C, S] beside the baseline [S]; None where a screen is too small to tell.

    `least_noise` is a lower bound on the standard deviation of differences, for a discrete metric.
    """
    pooled = pairing(y_CS, baseline_S)
    freedom = np.maximum((np.isfinite(y_CS) & np.isfinite(baseline_S)).sum(axis=1) - 1, 0).sum()
    if pooled is None or pooled.difference_sd <= 0 or freedom < FEWEST_DF:
        return None
    known_S = np.isfinite(baseline_S) & np.isfinite(y_CS).any(axis=0)
    prior = Prior(pooled.difference_sd, int(freedom), _good_runs(baseline_S, known_S, pooled.difference_sd))
    whole_CS = y_CS[:, known_S][np.isfinite(y_CS[:, known_S]).all(axis=1)]
    if len(whole_CS) < 2 or known_S.sum() < 3:
        return prior
    # A seed's effect is separated from noise by the median over settings, each about its own level.
    own_CS = whole_CS - np.median(whole_CS - whole_CS.mean(axis=1, keepdims=True), axis=0)
    return prior._replace(
        skewness=_third_cumulant(own_CS) / max(prior.sd, least_noise) ** 3,
        bad=_bad_runs(own_CS, whole_CS - baseline_S[known_S], least_noise),
    )


def _good_runs(baseline_S: Matrix, shared_S: Mask, difference_sd: float) -> int:
    """Count the runs that suggest that the baseline has no bad ones: none where one of them ended badly.

    A bad run on a seed that it does not share shows here and in no test, so that such a run counts for less.
    """
    runs_S = baseline_S[np.isfinite(baseline_S)]
    away_S = runs_S - np.median(runs_S)
    # Half of a normal's runs lie within .6745 sd of the median.
    typical = max(float(np.median(np.abs(away_S))) / 0.6745, difference_sd / np.sqrt(2))
    if away_S.max() > FAR * typical:
        return 0
    shared = int(shared_S.sum())
    return shared + int(UNSHARED * (len(runs_S) - shared))


def _third_cumulant(own_CS: Matrix) -> float:
    """Pool the unbiased estimates of every setting (k-statistics): centring on few seeds does not shrink them."""
    n = own_CS.shape[1]
    apart_CS = own_CS - own_CS.mean(axis=1, keepdims=True)
    return float((n / ((n - 1) * (n - 2)) * (apart_CS**3).sum(axis=1)).mean())


def _bad_runs(own_CS: Matrix, difference_CS: Matrix, least_noise: float) -> BadRuns | None:
    apart_CS = own_CS - np.median(own_CS, axis=1, keepdims=True)
    far = FAR * max(_sd_of_most(own_CS), least_noise)
    above, below = int((apart_CS > far).sum()), int((apart_CS < -far).sum())
    count, side = (above, "higher") if above > below else (below, "lower")
    if far <= 0 or count < max(FEWEST_BAD, BAD_SHARE * own_CS.size) or above == below:
        return None
    # Where two of three are bad, the good one is far on the other side.
    count = min(count + 2 * min(above, below), own_CS.size - 1)
    typical = max(_sd_of_most(difference_CS), least_noise)
    size = float(np.median(np.abs(apart_CS[np.abs(apart_CS) > far]))) / typical if typical > 0 else SIZES[-1]
    ends = [betaincinv(count, own_CS.size - count + 1, 0.05), betaincinv(count + 1, own_CS.size - count, 0.95)]
    shares = {_nearest(share) for share in (ends[0], count / own_CS.size, ends[1])}
    rounded = float(SIZES[min(int(np.searchsorted(SIZES, size)), len(SIZES) - 1)])
    return BadRuns("higher" if side == "higher" else "lower", count, own_CS.size, tuple(sorted(shares)), rounded)


def _sd_of_most(values_CS: Matrix) -> float:
    """Return the standard deviation within settings that bad runs do not move: from their two closest seeds."""
    closest_C = np.diff(np.sort(values_CS[:, :3], axis=1), axis=1).min(axis=1)
    return float(np.median(closest_C)) / CLOSEST_OF_THREE


def _nearest(share: float) -> float:
    return float(SHARES[np.abs(np.log(SHARES / share)).argmin()])
