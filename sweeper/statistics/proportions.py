"""A share out of a total, with its interval."""

from __future__ import annotations

from statsmodels.stats.proportion import proportion_confint


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share (Clopper & Pearson 1934)."""
    low, high = proportion_confint(count, total, alpha=0.05, method="beta")
    return float(low), float(high)
