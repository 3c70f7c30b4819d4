"""Euler-Maruyama on the SDE whose marginals are those of a path's ODE (SiT, arXiv:2401.08740, equation 10)."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from trainer.objectives.paths import coefficients, noise_of_velocity
from trainer.recipe.objective import Path
from trainer.rng.step_noise import StepNoise


def solve_sde(
    velocity: Callable[[Tensor, float], Tensor], x: Tensor, nfe: int, path: Path, more: StepNoise, start: float = 0.0
) -> Tensor:
    """Integrate dx = (velocity + sigma score) dt + sqrt(2 sigma) dW from `start` to 1 in `nfe` equal steps.

    The diffusion sigma(t) is the public SiT's default, and so is the last step, which adds no noise ('Mean'). There
    its length is .04 whatever the number of steps; here it is a step like the others.
    """
    length = (1 - start) / nfe
    for step in range(nfe):
        t = start + step * length
        slope, sigma = velocity(x, t), coefficients(t, path).sigma
        # sigma times the score is minus the expected noise.
        x = x + length * (slope - noise_of_velocity(slope, x, t, path))
        if step < nfe - 1:
            x = x + math.sqrt(2 * sigma * length) * more(step, x.shape)
    return x
