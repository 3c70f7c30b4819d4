"""Exponential moving average of weights, ramped so that early averages are not dominated by the initial weights."""

from __future__ import annotations

from torch import Tensor


def ema_decay(step: int, final: float) -> float:
    """Return the decay after optimiser step `step` (1-based): min(final, (1 + step) / (10 + step))."""
    return min(final, (1 + step) / (10 + step))


def update_ema(average: Tensor, weights: Tensor, share: float | Tensor) -> None:
    """Move `average` towards `weights` in place by `share` = 1 - decay: average += share * (weights - average)."""
    average.lerp_(weights, share)
