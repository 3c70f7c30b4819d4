"""The means printed beside a change: geometric means of the objective, since a change is a mean of log ratios.

Where an arm and lambda 0 ran on the same seeds, the ratio of their geometric means is the change itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.guide.analysis.stage_table import Matrix, StageTable
from sweeper.guide.schema.results import GeometricMean
from sweeper.records import BASELINE_KEY


def geometric_mean(log_S: Matrix) -> GeometricMean | None:
    """Average logarithms, one per seed and NaN where there is none; None where all are missing.

    The spread is the standard deviation of the logarithm in units of the mean, so that 1.0 ± 0.1 spreads by 10 %.
    """
    known = log_S[np.isfinite(log_S)]
    if not known.size:
        return None
    mean = float(np.exp(known.mean()))
    return GeometricMean(n=known.size, mean=mean, sd=mean * float(known.std(ddof=1)) if known.size > 1 else None)


def own_and_baseline(
    table: StageTable, key: str, columns: Sequence[int] | None = None
) -> tuple[GeometricMean | None, GeometricMean | None]:
    """Return an arm's geometric mean, and the baseline's on the same seeds.

    It is over the seeds they share, as the change is, or over all of the arm's where they share none; `columns` are
    the table's seeds to average over, all by default.
    """
    own_S = table.logs()[table.row[key]]
    if columns is not None:
        outside = np.ones(len(own_S), dtype=bool)
        outside[list(columns)] = False
        own_S = np.where(outside, np.nan, own_S)
    if BASELINE_KEY not in table.row or key == BASELINE_KEY:
        return geometric_mean(own_S), None
    base_S = table.logs()[table.row[BASELINE_KEY]]
    shared_S = np.isfinite(own_S) & np.isfinite(base_S)
    if not shared_S.any():
        return geometric_mean(own_S), None
    return geometric_mean(own_S[shared_S]), geometric_mean(base_S[shared_S])
