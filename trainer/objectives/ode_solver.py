"""ODE solvers that carry noise (t = 0) to data (t = 1) along a learned velocity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, assert_never

from torch import Tensor

from trainer.recipe.evaluation import EVALUATIONS_A_STEP, Solver

Velocity = Callable[[Tensor, float], Tensor]
OdeSolver = Literal["euler", "heun"]


def step_count(nfe: int, method: Solver) -> int:
    """Return how many steps `nfe` velocity evaluations make; raise ValueError where they make no whole number."""
    steps, left = divmod(nfe, EVALUATIONS_A_STEP[method])
    if left:
        raise ValueError(f"{method} evaluates the velocity {EVALUATIONS_A_STEP[method]} times a step, not {nfe} in all")
    return steps


def solve(velocity: Velocity, x: Tensor, nfe: int, method: OdeSolver, grid: Sequence[float] | None = None) -> Tensor:
    """Integrate dx/dt = velocity(x, t) with `nfe` velocity evaluations, from t = 0 to 1 in equal steps or over a grid.

    Euler takes `nfe` steps; Heun (explicit trapezoid) takes `nfe` / 2; a grid has one time more than there are steps.
    """
    steps = step_count(nfe, method)
    times = [i / steps for i in range(steps + 1)] if grid is None else grid
    for t, after in itertools.pairwise(times):
        # For equal steps, divide by their number, not by a difference of times, so that recorded figures stay the same
        # to the last bit.
        per_unit = steps if grid is None else 1 / (after - t)
        match method:
            case "euler":
                x = x + velocity(x, t) / per_unit
            case "heun":
                slope = velocity(x, t)
                ahead = velocity(x + slope / per_unit, after)
                x = x + (slope + ahead) / (2 * per_unit)
            case _:
                assert_never(method)
    return x
