"""Cells against the baseline: paired changes of the log objective on shared seeds."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from sweeper.guide.analysis.stage_table import Matrix, StageTable
from sweeper.guide.schema.results import Change
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.moments import moments


def log_differences(table: StageTable, metric: str | None = None) -> Matrix:
    """Log of a metric (or the objective) minus the baseline's on the same seed, [C, S]; NaN where either is missing."""
    logs = table.logs(metric)
    if BASELINE_KEY not in table.row:
        return np.full_like(logs, np.nan)
    return np.asarray(logs - logs[table.row[BASELINE_KEY]])


def changes(table: StageTable, together: int = 1) -> dict[str, Change]:
    """The paired change of every cell that shares a seed with the baseline, by key.

    Any of `together` intervals misses with a chance of 5 % at most (Bonferroni).
    """
    difference_CS = log_differences(table)
    seen = moments(difference_CS)
    n_C, mean_C = seen.n, seen.mean
    reach = stdtrit(np.maximum(n_C - 1, 1), 1 - INTERVAL_ALPHA / max(together, 1) / 2)
    reach_C = np.maximum(seen.sd, table.least_noise()) / np.sqrt(np.maximum(n_C, 1)) * reach
    return {
        key: change_of(
            int(n_C[i]), mean_C[i], *((mean_C[i] - reach_C[i], mean_C[i] + reach_C[i]) if n_C[i] > 1 else ())
        )
        for key, i in table.row.items()
        if key != BASELINE_KEY and n_C[i] > 0
    }


def change_of(n: int, mean: float, low: float | None = None, high: float | None = None) -> Change:
    """Convert a difference of logarithms, with its interval, to a relative change."""
    ends = (None if end is None else fraction(end) for end in (low, high))
    return Change(n=n, mean=fraction(mean), **dict(zip(("low", "high"), ends, strict=True)))


def fraction(log_ratio: float) -> float:
    """Convert a difference of logarithms to a relative change."""
    # Two wildly different seeds may overflow a float. The cap is not seen: above a thousandfold guides print no more.
    return float(np.expm1(min(log_ratio, 300.0)))
