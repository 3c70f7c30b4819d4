import math
from typing import get_args

import pytest
import torch

from trainer.objectives.classifier_free_guidance import guide
from trainer.objectives.ode_solver import solve
from trainer.recipe.evaluation import EVALUATIONS_A_STEP, Solver


def decay(x: torch.Tensor, _t: float) -> torch.Tensor:
    return -x


def test_euler_equals_its_closed_form_on_exponential_decay():
    x = solve(decay, torch.ones(1, dtype=torch.float64), 10, "euler")
    assert float(x) == pytest.approx((1 - 1 / 10) ** 10)


def test_heun_equals_its_closed_form_and_is_second_order():
    errors = {}
    for nfe in (10, 20):
        x = float(solve(decay, torch.ones(1, dtype=torch.float64), nfe, "heun"))
        step = 2 / nfe
        assert x == pytest.approx((1 - step + step**2 / 2) ** (nfe // 2))
        errors[nfe] = abs(x - math.exp(-1))
    assert 3.5 < errors[10] / errors[20] < 5


@pytest.mark.parametrize("method", ["euler", "heun"])
def test_number_of_velocity_evaluations_is_nfe(method):
    times = []

    def velocity(x, t):
        times.append(t)
        return torch.zeros_like(x)

    solve(velocity, torch.ones(2), 8, method)
    assert len(times) == 8
    assert min(times) == 0
    assert max(times) <= 1


def test_time_dependent_velocity_is_integrated_from_0_to_1():
    x = solve(lambda x, t: torch.full_like(x, 3 * t**2), torch.zeros(1, dtype=torch.float64), 1000, "heun")
    assert float(x) == pytest.approx(1, abs=1e-5)


def test_heun_refuses_an_odd_number_of_evaluations():
    with pytest.raises(ValueError, match="heun evaluates the velocity 2 times a step, not 7 in all"):
        solve(decay, torch.ones(1), 7, "heun")


def test_guidance_extrapolates_from_unconditional_through_conditional():
    conditional, unconditional = torch.tensor([2.0]), torch.tensor([1.0])
    for scale, expected in ((0.0, 1.0), (1.0, 2.0), (4.0, 5.0)):
        assert float(guide(conditional, unconditional, scale)) == expected


def test_every_solver_has_its_evaluations_a_step() -> None:
    assert EVALUATIONS_A_STEP.keys() == {*get_args(Solver)}
