"""EDM's formulas (Karras et al. 2022, table 1, algorithm 1) written down anew, on networks whose answers are known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.trainer.objectives.cases import DRAWS, IMAGES, LABELS, MORE, NOISE, TIMES, Known, always, column
from trainer.objectives.edm import Edm, noise_levels
from trainer.recipe import EdmRecipe, EvalRecipe, Recipe

RECIPE = EdmRecipe(kind="edm", p_mean=-0.7, p_std=1.4, sigma_data=0.6)
DATA = RECIPE.sigma_data
SIGMA = torch.exp(-0.7 + 1.4 * torch.distributions.Normal(0.0, 1.0).icdf(TIMES))
NOISED = IMAGES + column(SIGMA) * NOISE


def smooth(x: Tensor, given) -> Tensor:
    return (x * (1.3 + column(given.time))).sin()


def denoised(x: Tensor, sigma: Tensor) -> Tensor:
    """D(x, sigma) of equation 7 with the factors of table 1, where F is `smooth`."""
    skip = DATA**2 / (sigma**2 + DATA**2)
    out = sigma * DATA / torch.sqrt(DATA**2 + sigma**2)
    into = 1 / torch.sqrt(sigma**2 + DATA**2)
    return skip * x + out * ((into * x) * (1.3 + 0.25 * torch.log(sigma))).sin()


def sampled_by_the_paper(noise: Tensor, steps: int, corrects: bool) -> Tensor:
    """Algorithm 1: Heun's steps, Euler's for the last; or Euler's alone."""
    sigmas = [
        (80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 if steps > 1 else 80.0
        for i in range(steps)
    ]
    x = 80.0 * noise
    for here, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        slope = (x - denoised(x, torch.tensor(here, dtype=torch.float64))) / here
        ahead = x + (after - here) * slope
        if corrects and after > 0:
            other = (ahead - denoised(ahead, torch.tensor(after, dtype=torch.float64))) / after
            ahead = x + (after - here) * (slope + other) / 2
        x = ahead
    return x


def test_the_loss_is_the_denoised_images_error_weighted_by_table_1():
    weight = (column(SIGMA) ** 2 + DATA**2) / (column(SIGMA) * DATA) ** 2
    errors = weight * (denoised(NOISED, column(SIGMA)) - IMAGES) ** 2
    network = Known(smooth)
    learning = Edm(RECIPE).loss(network, IMAGES, LABELS, DRAWS, {0})
    torch.testing.assert_close(learning.loss, errors.mean((1, 2, 3, 4)))
    assert torch.equal(learning.recorded["train_loss"], learning.loss)
    torch.testing.assert_close(Edm(RECIPE).held_out(Known(smooth), IMAGES, LABELS, DRAWS), errors.mean((2, 3, 4)))
    torch.testing.assert_close(learning.taps[0], network.calls[0][0][:, :, 0])


def test_the_network_sees_an_input_of_the_datas_variance_and_a_quarter_of_the_levels_logarithm():
    x, given = Edm(RECIPE).seen(IMAGES, LABELS, DRAWS)
    torch.testing.assert_close(x, NOISED / torch.sqrt(column(SIGMA) ** 2 + DATA**2))
    torch.testing.assert_close(given.time, torch.log(SIGMA) / 4)
    assert torch.equal(given.label, LABELS)
    assert given.until is None


def test_at_the_least_and_the_greatest_of_uniform_numbers_all_is_finite():
    ends = {**DRAWS, "time": torch.tensor([0.0, 1 - 2**-24] * 3).expand(2, 6)}
    recipe = EdmRecipe(kind="edm", p_mean=10, p_std=5, sigma_data=1e-3)
    images, noise = IMAGES.float(), NOISE.float()
    loss = Edm(recipe).held_out(always(images), images, LABELS, {**ends, "noise": noise})
    assert loss.isfinite().all()


@pytest.mark.parametrize(("solver", "nfe", "steps"), [("heun", 9, 5), ("heun", 1, 1), ("euler", 7, 7), ("euler", 1, 1)])
def test_samples_are_those_of_algorithm_1_in_so_many_evaluations(solver, nfe, steps):
    network = Known(smooth)
    found = Edm(RECIPE).sample(network, NOISE, LABELS, EvalRecipe(nfe=nfe, solver=solver), MORE)
    torch.testing.assert_close(found, sampled_by_the_paper(NOISE, steps, solver == "heun"))
    assert len(network.calls) == nfe


def test_the_schedule_runs_from_80_to_2_thousandths_in_even_steps_of_the_seventh_root():
    levels = noise_levels(4)
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-1]) == pytest.approx((80, 0.002))
    roots = [level ** (1 / 7) for level in levels]
    steps = [one - other for one, other in itertools.pairwise(roots)]
    assert steps == pytest.approx([(roots[0] - roots[-1]) / 4] * 4)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_normal_data_are_sampled_with_their_deviation_to_the_solvers_order(solver, order):
    """Where data are normal with deviation sigma_data, the best F is 0 and x is sqrt(sigma^2 + sigma_data^2) noise."""
    nothing = always(torch.zeros_like(NOISE))
    expected = DATA * 80 / math.hypot(80, DATA) * NOISE
    errors = [
        float((Edm(RECIPE).sample(nothing, NOISE, LABELS, EvalRecipe(nfe=nfe, solver=solver), MORE) - expected).norm())
        for nfe in (65, 129)
    ]
    assert 2**order * 0.8 < errors[0] / errors[1] < 2**order * 1.25
    assert errors[1] < 0.05 * float(expected.norm())


def test_guidance_acts_on_its_part_of_the_schedules_steps():
    network = Known(smooth)
    given = EvalRecipe(nfe=9, solver="euler", cfg=2, cfg_interval=(0.0, 0.55))
    Edm(RECIPE).sample(network, NOISE, LABELS, given, MORE)
    assert [x.shape[1] // NOISE.shape[1] for x, _, _ in network.calls] == [2] * 5 + [1] * 4


def test_a_solver_of_another_objective_is_refused():
    with pytest.raises(ValueError, match="solver ddim cannot sample EDM"):
        Edm(RECIPE).sample(always(), NOISE, LABELS, EvalRecipe(solver="ddim"), MORE)


def test_heun_takes_an_odd_number_of_evaluations_as_the_last_step_is_eulers():
    given = {"objective": {"kind": "edm"}, "eval": {"solver": "heun", "nfe": 35}}
    assert Recipe.model_validate(given).eval.nfe == 35
    says = "must be a multiple of 2 plus 1, not 36: heun evaluates the network 2 times a step, and 1 after the last"
    with pytest.raises(ValueError, match=says):
        Recipe.model_validate({**given, "eval": {"solver": "heun", "nfe": 36}})
