"""How noisy paired differences are, pooled over cells, and whether common random numbers helped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import chdtri, stdtrit

from sweeper.statistics.effects import Matrix
from sweeper.statistics.moments import moments

# Differences of two settings to one baseline correlate by half where all three have the same noise. Their variances
# then correlate by the square, and so many of them know the common one less well than as many of their own.
SHARED = 0.5


class Pairing(NamedTuple):
    """Noise of differences to the baseline, pooled over `cells` cells: a standard deviation on the log scale.

    `correlation` is that of a cell with the baseline over seeds; `width_ratio` the width of a paired interval
    relative to an unpaired one. `freedom` says how well the pooled variance is known, in degrees of freedom.
    """

    difference_sd: float
    correlation: float | None
    width_ratio: float | None
    cells: int
    freedom: float

    def sd_interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of the differences' standard deviation, for normal noise, at level 1 - alpha."""
        large, small = chdtri(self.freedom, (alpha / 2, 1 - alpha / 2))  # quantiles, by their upper tails
        low, high = (float(self.difference_sd * np.sqrt(self.freedom / quantile)) for quantile in (large, small))
        return low, high


def hopeful_pairing(y_CS: Matrix, baseline_S: Matrix) -> Pairing | None:
    """Pool over the cells whose 95 % interval does not lie wholly above the baseline, or over all if none is left.

    A cell that is clearly worse is often noisier too, and never reaches the confirm stage.
    """
    seen = moments(y_CS - baseline_S)
    # NaN, and so not above, where fewer than two seeds are shared.
    reach_C = stdtrit(np.maximum(seen.n - 1, 1), 0.975) * seen.sd / np.sqrt(np.maximum(seen.n, 1))
    above_C = seen.mean > reach_C
    return pairing(y_CS[~above_C], baseline_S) or pairing(y_CS, baseline_S)


def pairing(y_CS: Matrix, baseline_S: Matrix) -> Pairing | None:
    """Pool the noise of these cells' differences; None when none shares two seeds with the baseline."""
    shared_CS = np.isfinite(y_CS) & np.isfinite(baseline_S)
    if not len(y_CS):
        return None
    kept = shared_CS.sum(axis=1) > 1
    if not kept.any():
        return None
    shared_CS = shared_CS[kept]
    own_CS = np.where(shared_CS, y_CS[kept], np.nan)
    base_CS = np.where(shared_CS, baseline_S, np.nan)
    freedom_C = shared_CS.sum(axis=1) - 1
    difference, own, base = (_pooled(part, freedom_C) for part in (own_CS - base_CS, own_CS, base_CS))
    spread = float(np.sqrt(own * base))
    return Pairing(
        difference_sd=float(np.sqrt(difference)),
        correlation=float((own + base - difference) / 2 / spread) if spread > 0 else None,
        width_ratio=float(np.sqrt(difference / (own + base))) if own + base > 0 else None,
        cells=int(kept.sum()),
        freedom=float(freedom_C.sum() / (1 + (kept.sum() - 1) * SHARED**2)),
    )


def _pooled(part_CS: Matrix, freedom_C: Matrix) -> float:
    return float((np.nanvar(part_CS, axis=1, ddof=1) * freedom_C).sum() / freedom_C.sum())
