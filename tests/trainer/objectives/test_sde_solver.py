"""The SDE of a path on data whose velocity is known: normal ones."""

import math

import pytest
import torch

from tests.trainer.objectives.cases import CPU
from trainer.objectives.sde_solver import solve_sde
from trainer.rng.step_noise import StepNoise, step_keys

COUNT, SPREAD, MIDDLE = 10_000, 0.5, 0.8


def coefficients(t: float, path: str) -> tuple[float, float, float, float]:
    half = math.pi / 2
    if path == "linear":
        return t, 1 - t, 1, -1
    return math.sin(half * t), math.cos(half * t), half * math.cos(half * t), -half * math.sin(half * t)


@pytest.mark.parametrize("path", ["linear", "gvp"])
def test_normal_data_are_drawn_with_their_mean_and_spread(path):
    def velocity(x, t):
        # E[alpha' data + sigma' noise | x_t] where data are normal.
        alpha, sigma, alpha_slope, sigma_slope = coefficients(t, path)
        variance = (alpha * SPREAD) ** 2 + sigma**2
        off = x - alpha * MIDDLE
        data = MIDDLE + alpha * SPREAD**2 / variance * off
        noise = sigma / variance * off
        return alpha_slope * data + sigma_slope * noise

    noise = torch.randn(1, COUNT, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    more = StepNoise(step_keys([0], 0, CPU), COUNT, torch.arange(COUNT))
    found = solve_sde(velocity, noise, 100, path, more)
    assert float(found.mean()) == pytest.approx(MIDDLE, abs=0.02)
    assert float(found.std()) == pytest.approx(SPREAD, rel=0.03)
    # It is a random walk: what is drawn has forgotten much of the noise it began with, unlike an ODE's.
    together = torch.corrcoef(torch.stack([noise.flatten(), found.flatten()]))[0, 1]
    assert abs(float(together)) < 0.6
