"""ODE solvers that carry noise (t = 0) to data (t = 1) along a learned velocity."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from torch import Tensor

from trainer.recipe.evaluation import EVALUATIONS_A_STEP, Solver

Velocity = Callable[[Tensor, float], Tensor]


def solve(velocity: Velocity, x: Tensor, nfe: int, method: Solver) -> Tensor:
    """Integrate dx/dt = velocity(x, t) from t = 0 to 1 with `nfe` velocity evaluations on a uniform grid.

    Euler takes `nfe` steps; Heun (explicit trapezoid) takes `nfe` / 2. Raises ValueError where nfe is no whole number
    of steps.
    """
    steps, left = divmod(nfe, EVALUATIONS_A_STEP[method])
    if left:
        raise ValueError(f"{method} evaluates the velocity {EVALUATIONS_A_STEP[method]} times a step, not {nfe} in all")
    for i in range(steps):
        match method:
            case "euler":
                x = x + velocity(x, i / steps) / steps
            case "heun":
                slope = velocity(x, i / steps)
                ahead = velocity(x + slope / steps, (i + 1) / steps)
                x = x + (slope + ahead) / (2 * steps)
            case _:
                assert_never(method)
    return x
