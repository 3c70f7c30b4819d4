"""Cells against the baseline: paired changes of the log objective, their noise, and the seeds it takes to see more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from sweeper.guide.evidence import BASELINE, number
from sweeper.guide.guidance import Change

LEVEL = 0.95
POWER = 0.80
ALPHA = 0.05
MOST_SEEDS = 1000


def log_differences(scores: pd.DataFrame) -> pd.DataFrame:
    """Log objective minus the baseline's on the same seed: a row a cell, a column a seed, NaN where either lacks."""
    if BASELINE not in scores.index:
        return scores.iloc[:0]
    logs = _logs(scores)
    return logs.sub(logs.loc[BASELINE], axis="columns").drop(index=BASELINE)


def _logs(scores: pd.DataFrame) -> pd.DataFrame:
    logs: pd.DataFrame = scores.where(scores > 0).astype(float).apply(np.log)
    return logs


def changes(scores: pd.DataFrame) -> dict[str, Change]:
    """The paired change of every cell that shares a seed with the baseline, by key."""
    differences = log_differences(scores)
    n = differences.count(axis="columns")
    mean = differences.mean(axis="columns")
    margin = differences.std(axis="columns") / np.sqrt(n) * student.ppf(0.5 + LEVEL / 2, np.maximum(n - 1, 1))
    return {
        str(key): Change(
            n=int(n[key]),
            mean=_fraction(mean[key]),
            low=_fraction(mean[key] - margin[key]) if n[key] > 1 else None,
            high=_fraction(mean[key] + margin[key]) if n[key] > 1 else None,
        )
        for key in differences.index[n > 0]
    }


def _fraction(log_ratio: float) -> float:
    # Two wildly different seeds give an upper end no float can hold; a thousandfold is printed the same.
    return float(np.expm1(min(log_ratio, 300.0)))


class Pairing(NamedTuple):
    """Did common random numbers help? Pooled over cells; `difference_sd` on the log scale."""

    difference_sd: float
    correlation: float | None
    width_ratio: float | None
    cells: int


def pairing(scores: pd.DataFrame, keys: list[str]) -> Pairing | None:
    """Pool, over these cells, the noise of paired differences; None when no cell shares two seeds with the baseline."""
    differences = log_differences(scores)
    shared = differences.reindex(keys)
    shared = shared[shared.count(axis="columns") > 1]
    if shared.empty:
        return None
    logs = _logs(scores)
    cells = logs.loc[shared.index].where(shared.notna())
    baseline = shared.mul(0.0).add(logs.loc[BASELINE], axis="columns")
    freedom = shared.count(axis="columns") - 1
    difference, own, base = (_pooled(part.var(axis="columns"), freedom) for part in (shared, cells, baseline))
    spread = np.sqrt(own * base)
    return Pairing(
        difference_sd=float(np.sqrt(difference)),
        correlation=number((own + base - difference) / 2 / spread) if spread > 0 else None,
        width_ratio=number(np.sqrt(difference / (own + base))) if own + base > 0 else None,
        cells=len(shared),
    )


def _pooled(variances: pd.Series[float], freedom: pd.Series[int]) -> float:
    return float((variances * freedom).sum() / freedom.sum())


def power(log_gain: float, sd: float, n: int, top: int) -> float:
    """Chance that a one-sided paired t over `n` seeds, at Holm's first step over `top`, sees this gain."""
    if sd <= 0:
        return 1.0
    critical = student.ppf(1 - ALPHA / top, n - 1)
    chance = float(nct.sf(critical, n - 1, log_gain / sd * np.sqrt(n)))
    # scipy 1.17's noncentral t returns nan far out, where the gain dwarfs the noise.
    return chance if np.isfinite(chance) else 1.0


def needed_seeds(margin: float, sd: float, top: int) -> int | None:
    """The fewest seeds that show a gain of `margin` with 80 % power; None beyond 1,000."""
    gain = -np.log1p(-margin)
    low, high = 1, MOST_SEEDS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(gain, sd, middle, top) >= POWER else (middle, high)
    return high if high <= MOST_SEEDS else None


def detectable(n: int, sd: float, top: int) -> float | None:
    """The gain, as a fraction, that `n` seeds show with 80 % power; None when it is beyond 99 %."""
    if sd <= 0:
        return 0.0
    most = -np.log(0.01)
    if power(most, sd, n, top) < POWER:
        return None
    return float(-np.expm1(-brentq(lambda gain: power(gain, sd, n, top) - POWER, 0.0, most)))
