"""ODE solvers that carry noise (t = 0) to data (t = 1) along a learned velocity, and classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]


def solve(velocity: Velocity, x: Tensor, nfe: int, method: Literal["euler", "heun"]) -> Tensor:
    """Integrate dx/dt = velocity(x, t) from t = 0 to 1 with `nfe` velocity evaluations on a uniform grid.

    Euler takes `nfe` steps; Heun (explicit trapezoid) takes `nfe` / 2, so nfe must be even, else ValueError.
    """
    if method == "euler":
        for i in range(nfe):
            x = x + velocity(x, i / nfe) / nfe
        return x
    if nfe % 2:
        raise ValueError(f"heun evaluates the velocity twice a step: nfe must be even, not {nfe}")
    steps = nfe // 2
    for i in range(steps):
        slope = velocity(x, i / steps)
        ahead = velocity(x + slope / steps, (i + 1) / steps)
        x = x + (slope + ahead) / (2 * steps)
    return x


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): unconditional + scale (conditional - unconditional)."""
    return torch.lerp(unconditional, conditional, scale)
