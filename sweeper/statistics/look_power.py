"""How many seeds it takes to detect a gain in planned looks, and which gain a number of seeds can detect.

A study in looks tests after some of its seeds at a level below that of one test, and ends arms that look futile, so
its power is not that of a t-test after its last seed. We simulate it on paths of normal noise, the same at every call.
Effects are in standard deviations of paired differences.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from sweeper.statistics.error_budget import FEWEST_SEEDS
from sweeper.statistics.look_levels import weights_of
from sweeper.statistics.looks import PRIOR_DF, REACH, WORTHWHILE
from sweeper.statistics.noise_laws import NORMAL, NoiseLaw
from sweeper.statistics.power import LEAST_LEFT, MOST_SEEDS, detectable, needed_seeds
from sweeper.statistics.screen_noise import Prior

Array = npt.NDArray[np.float64]

# Paths up to 40 seeds: a power of 80 % is known within .6 points, a level of 1 % within a tenth of it. Longer
# schedules get fewer paths, so that none takes more time.
PATHS, NULL_PATHS, SHORT = 20_000, 40_000, 40
LARGEST = 50.0  # sd: a larger effect counts as never detected
# Numbers of seeds at which schedules are counted; what lies between is interpolated, what is beyond goes by the square
# where arms are judged once.
COUNTED = (3, 4, 5, 6, 8, 10, 12, 16, 20, 28, 40, 60, 90, 140, 200)


class Plan(NamedTuple):
    """A test of a gain at level `alpha`: after which seeds at most it looks, and under which laws of noise it holds.

    A schedule ends at any number of seeds: it has the `looks` below that number, and one there. No looks: judged once.
    """

    looks: tuple[int, ...]
    alpha: float
    prior_df: int = 0
    laws: tuple[NoiseLaw, ...] = (NORMAL,)

    @classmethod
    def under(cls, prior: Prior | None, looks: Sequence[int], alpha: float) -> Plan:
        """Return the test of a gain as `PairedInLooks` makes it with this prior."""
        if prior is None:
            return cls(tuple(looks), alpha)
        return cls(tuple(looks), alpha, PRIOR_DF, prior.laws("lower"))

    def until(self, seeds: int) -> tuple[int, ...]:
        """Return the schedule that ends after so many seeds."""
        return (*(look for look in self.looks if look < seeds), seeds)

    @property
    def is_plain(self) -> bool:
        """Whether it is one t-test, whose power has a formula."""
        return not self.looks and not self.prior_df


def power_in_looks(effect: float, schedule: tuple[int, ...], plan: Plan) -> float:
    """Return the chance that an arm with this gain is confirmed at any look before it looks futile."""
    looks = np.array(schedule)
    sum_NL, square_NL = _paths(schedule)
    mean_NL = effect + sum_NL / looks
    df_L = looks - 1 + plan.prior_df
    sd_NL = np.sqrt((plan.prior_df + square_NL - sum_NL**2 / looks) / df_L)
    confirmed_NL = mean_NL / (sd_NL / np.sqrt(looks)) >= _critical(schedule, plan)
    to_come_L = np.sqrt(1 / looks - 1 / looks[-1])
    futile_NL = mean_NL + REACH * sd_NL * to_come_L < WORTHWHILE * sd_NL
    # An arm that is confirmed at a look is not futile there, and takes no later looks.
    gone_NL = np.logical_or.accumulate(futile_NL, axis=1)
    gone_NL = np.hstack([np.zeros((len(gone_NL), 1), dtype=bool), gone_NL[:, :-1]])
    return float((confirmed_NL & ~gone_NL).any(axis=1).mean())


@functools.lru_cache(maxsize=256)
def _critical(schedule: tuple[int, ...], plan: Plan) -> Array:
    """Return the t at which each look confirms, [L]."""
    df_L, weight_L = np.array(schedule) - 1 + plan.prior_df, np.array(weights_of(schedule))
    level = min(_level(schedule, plan.alpha, plan.prior_df, law) for law in plan.laws)
    return np.asarray(stdtrit(df_L, 1 - weight_L * level))


@functools.lru_cache(maxsize=1024)
def _level(schedule: tuple[int, ...], alpha: float, prior_df: int, law: NoiseLaw) -> float:
    """Return the `alpha` quantile, without an effect, of the smallest weighted p-value over all looks.

    `look_levels` tabulates the same for claims; this is accurate enough for planning and fifty times as fast.
    """
    if law == NORMAL and len(schedule) == 1:
        return alpha
    looks, rng = np.array(schedule), np.random.default_rng(1)
    count = _count(NULL_PATHS, schedule)
    sum_NL, square_NL = _sums(law.draw((count, schedule[-1]), rng), looks)
    df_L = looks - 1 + prior_df
    # As in `look_levels`: further observations of normal noise, and as large as it is under another law.
    prior_N = rng.chisquare(prior_df, count) if law == NORMAL and prior_df else np.full(count, prior_df)
    sd_NL = np.sqrt((prior_N[:, None] + square_NL - sum_NL**2 / looks) / df_L)
    p_NL = stdtr(df_L, sum_NL / looks / (sd_NL / np.sqrt(looks)))
    return float(np.quantile((p_NL / weights_of(schedule)).min(axis=1), alpha))


@functools.lru_cache(maxsize=64)
def _paths(schedule: tuple[int, ...]) -> tuple[Array, Array]:
    noise_NS = np.random.default_rng(0).standard_normal((_count(PATHS, schedule), schedule[-1]))
    return _sums(noise_NS, np.array(schedule))


def _count(paths: int, schedule: tuple[int, ...]) -> int:
    return paths * SHORT // max(SHORT, schedule[-1])


def _sums(noise_NS: Array, looks: npt.NDArray[np.int_]) -> tuple[Array, Array]:
    """Return sums and sums of squares of every path at each look, both [N, L]."""
    return noise_NS.cumsum(axis=1)[:, looks - 1], (noise_NS**2).cumsum(axis=1)[:, looks - 1]


@functools.lru_cache(maxsize=4096)
def detectable_effect(seeds: int, plan: Plan, desired: float = 0.8) -> float | None:
    """Return the gain that so many seeds show with the `desired` power; None where no gain is large enough."""
    schedule, low, high = plan.until(seeds), 0.0, LARGEST
    if seeds < FEWEST_SEEDS or power_in_looks(high, schedule, plan) < desired:
        return None
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power_in_looks(middle, schedule, plan) >= desired else (middle, high)
    return high


@functools.lru_cache(maxsize=4096)
def needed_in_looks(effect: float, plan: Plan, desired: float = 0.8) -> int | None:
    """Return after how many seeds at most a gain is shown with the `desired` power.

    None beyond 1,000; in looks None beyond 200, where arms with so small a gain are mostly given up before.
    """
    if effect <= 0:
        return None
    if plan.is_plain:
        return needed_seeds(effect, 1.0, plan.alpha, desired)
    low, high = 0, len(COUNTED)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _shows(COUNTED[middle], effect, plan, desired) else (middle + 1, high)
    if low == len(COUNTED):
        return _beyond(effect, plan, desired)
    return COUNTED[0] if low == 0 else _between(COUNTED[low - 1], COUNTED[low], effect, plan, desired)


def needed_for(log_gain: float, sd: float, plan: Plan, desired: float = 0.8) -> int | None:
    """Return after how many seeds at most a gain is shown where paired differences have this `sd`, both logarithms."""
    if plan.is_plain:
        return needed_seeds(log_gain, sd, plan.alpha, desired)
    return needed_in_looks(log_gain / sd if sd > 0 else LARGEST, plan, desired)


def detectable_gain(seeds: int, sd: float, plan: Plan, desired: float = 0.8) -> float | None:
    """Return the gain, as a fraction, that so many seeds show; None where it is beyond 99 %."""
    if plan.is_plain:
        return detectable(seeds, sd, plan.alpha, desired)
    effect = detectable_effect(seeds, plan, desired)
    return None if effect is None or effect * sd > -math.log(LEAST_LEFT) else -math.expm1(-effect * sd)


def _shows(seeds: int, effect: float, plan: Plan, desired: float) -> bool:
    shown = detectable_effect(seeds, plan, desired)
    return shown is not None and shown <= effect


def _between(few: int, many: int, effect: float, plan: Plan, desired: float) -> int:
    """Interpolate where the detectable effect falls to this one, as a power of the number of seeds."""
    ends = [detectable_effect(seeds, plan, desired) for seeds in (few, many)]
    if ends[0] is None or ends[1] is None:
        return many
    share = math.log(ends[0] / effect) / math.log(ends[0] / ends[1])
    return min(many, math.ceil(float(few * (many / few) ** share) - 1e-9))


def _beyond(effect: float, plan: Plan, desired: float) -> int | None:
    shown = detectable_effect(COUNTED[-1], plan, desired)
    # With looks there may be no such number: an arm that promises little ends at one of the first.
    if shown is None or plan.looks:
        return None
    count = math.ceil(COUNTED[-1] * (shown / effect) ** 2)
    return count if count <= MOST_SEEDS else None
