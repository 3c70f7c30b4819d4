"""Velocity, noise and score on both paths, on networks whose answers are known."""

import math
from typing import get_args

import pytest
import torch

from tests.trainer.objectives.cases import (
    BATCH,
    CLASSES,
    DRAWS,
    IMAGES,
    LABELS,
    LANES,
    MORE,
    NOISE,
    PREDICTED,
    TIMES,
    Known,
    always,
    column,
)
from trainer.objectives.interpolant import MARGIN, Interpolant, times
from trainer.objectives.paths import interpolate
from trainer.recipe import EvalRecipe, InterpolantRecipe
from trainer.recipe.objective import Path, Predicts
from trainer.rng.draws import Draw

KINDS = [InterpolantRecipe(path=path, predicts=what) for path in get_args(Path) for what in get_args(Predicts)]


def coefficients(t: torch.Tensor, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """SiT's table 1, written down once more."""
    return (t, 1 - t) if path == "linear" else (torch.sin(math.pi / 2 * t), torch.cos(math.pi / 2 * t))


def oracle(recipe: InterpolantRecipe, images=IMAGES) -> Known:
    """A network that knows the one image each sample comes from."""

    def answer(x, given):
        t = column(given.time)
        alpha, sigma = coefficients(t, recipe.path)
        noise = (x - alpha * images) / sigma.clamp_min(1e-9)
        if recipe.predicts == "velocity":
            if recipe.path == "linear":
                return images - noise
            return math.pi / 2 * (sigma * images - alpha * noise)
        return noise if recipe.predicts == "noise" else -noise / sigma

    return Known(answer)


def target(recipe: InterpolantRecipe, t: torch.Tensor) -> torch.Tensor:
    alpha, sigma = coefficients(t, recipe.path)
    if recipe.predicts == "noise":
        return NOISE
    if recipe.predicts == "score":
        return -NOISE / sigma
    slopes = (1, -1) if recipe.path == "linear" else (math.pi / 2 * sigma, -math.pi / 2 * alpha)
    return slopes[0] * IMAGES + slopes[1] * NOISE


def seen_time(recipe: InterpolantRecipe) -> torch.Tensor:
    return TIMES if recipe.predicts == "velocity" else MARGIN + (1 - 2 * MARGIN) * TIMES


@pytest.mark.parametrize("recipe", KINDS, ids=lambda recipe: f"{recipe.path} {recipe.predicts}")
def test_loss_is_the_mean_squared_error_of_each_lane_and_of_a_score_times_sigma(recipe):
    objective, t = Interpolant(recipe), column(seen_time(recipe))
    weight = coefficients(t, recipe.path)[1] if recipe.predicts == "score" else 1
    errors = (weight * (PREDICTED - target(recipe, t))).square()
    learning = objective.loss(always(), IMAGES, LABELS, DRAWS, {1})
    torch.testing.assert_close(learning.loss, errors.mean((1, 2, 3, 4)))
    assert torch.equal(learning.recorded["train_loss"], learning.loss)
    assert (tuple(learning.recorded), set(learning.taps)) == (objective.recorded, {1})
    held_out = objective.held_out(always(), IMAGES, LABELS, DRAWS)
    torch.testing.assert_close(held_out, errors.mean((2, 3, 4)))
    assert float(objective.loss(oracle(recipe), IMAGES, LABELS, DRAWS, ()).loss.max()) < 1e-20


@pytest.mark.parametrize("recipe", KINDS, ids=lambda recipe: f"{recipe.path} {recipe.predicts}")
def test_the_network_sees_the_path_at_its_time_with_its_labels(recipe):
    network, objective = always(), Interpolant(recipe)
    taps = objective.loss(network, IMAGES, LABELS, DRAWS, {0, 2}).taps
    x, given = objective.seen(IMAGES, LABELS, DRAWS)
    ((called_with, conditioning, asked),) = network.calls
    assert torch.equal(called_with, interpolate(IMAGES, NOISE, seen_time(recipe), recipe.path).x_t)
    assert torch.equal(called_with, x)
    for seen in (conditioning, given):
        assert torch.equal(seen.time, seen_time(recipe))
        assert torch.equal(seen.label, LABELS)
        assert seen.until is None
    assert set(asked) == set(taps) == {0, 2}


def test_a_loss_has_a_gradient_and_what_is_recorded_has_none():
    learning = Interpolant().loss(always(PREDICTED.clone().requires_grad_()), IMAGES, LABELS, DRAWS, ())
    assert learning.loss.requires_grad
    assert not learning.recorded["train_loss"].requires_grad


def test_noise_is_drawn_before_time():
    wanted = {"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")}
    assert list(Interpolant.draws.items()) == list(wanted.items())


# Heun looks at t = 1, where a velocity that knows the image is 0 / 0.
SOLVED = [
    (recipe, solver, off)
    for recipe in KINDS
    for solver, off in (("euler", 0.05), ("heun", 0.05), ("euler_maruyama", 0.15))
    if (recipe.predicts, solver) != ("velocity", "heun")
]


@pytest.mark.parametrize(("recipe", "solver", "off"), SOLVED, ids=lambda given: getattr(given, "words", given))
def test_every_solver_leads_the_noise_of_one_image_to_it(recipe, solver, off):
    # The last step of an SDE adds no noise, but the one before it left some.
    found = Interpolant(recipe).sample(oracle(recipe), NOISE, LABELS, EvalRecipe(nfe=64, solver=solver), MORE)
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=off)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_constant_velocity_carries_noise_to_the_image_it_points_at(solver):
    network = always(IMAGES - NOISE)
    found = Interpolant().sample(network, NOISE, LABELS, EvalRecipe(nfe=4, solver=solver), MORE)
    torch.testing.assert_close(found, IMAGES)
    assert len(network.calls) == 4
    assert float(network.calls[0][1].time.max()) == 0


@pytest.mark.parametrize("nfe", [1, 10])
def test_euler_on_the_noise_of_the_linear_path_is_exact_but_for_the_margin(nfe):
    recipe = InterpolantRecipe(predicts="noise")
    found = Interpolant(recipe).sample(oracle(recipe), NOISE, LABELS, EvalRecipe(nfe=nfe), MORE)
    left = MARGIN / (1 - MARGIN)
    torch.testing.assert_close(found, IMAGES + left * (NOISE - IMAGES), rtol=0, atol=1e-6)


def test_times_are_even_in_the_log_of_the_ratio_and_end_at_the_margins():
    for path in get_args(Path):
        found = torch.tensor(times(8, InterpolantRecipe(path=path)), dtype=torch.float64)
        alpha, sigma = coefficients(found, path)
        steps = (alpha / sigma).log().diff()
        torch.testing.assert_close(steps, steps[:1].expand(8))
        assert float(found[0]) == pytest.approx(MARGIN)
        assert float(found[-1]) == pytest.approx(1 - MARGIN)


def test_logit_normal_times_are_the_sigmoid_of_normal_numbers():
    recipe = InterpolantRecipe(times="logit_normal", time_mean=-0.4, time_std=0.8)
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    draws = {"noise": torch.zeros(1, 100_000, 1, 1, 1), "time": uniform[None]}
    images, labels = torch.zeros(1, 100_000, 1, 1, 1), torch.zeros(1, 100_000).long()
    _, given = Interpolant(recipe).seen(images, labels, draws)
    logits = given.time.logit()
    assert (float(logits.mean()), float(logits.std())) == pytest.approx((-0.4, 0.8), abs=1e-3)


def test_guidance_asks_for_the_prediction_without_labels_in_the_same_call():
    network = always(torch.cat([PREDICTED, 0 * PREDICTED], 1))
    found = Interpolant().sample(network, NOISE, LABELS, EvalRecipe(nfe=1, cfg=3.0), MORE)
    ((x, given, _),) = network.calls
    assert torch.equal(x, torch.cat([NOISE, NOISE], 1))
    assert torch.equal(given.label, torch.cat([LABELS, torch.full_like(LABELS, CLASSES)], 1))
    torch.testing.assert_close(found, NOISE + 3 * PREDICTED)


def test_guidance_is_of_the_noise_where_that_is_predicted():
    recipe = InterpolantRecipe(predicts="noise")
    network, plain = always(torch.cat([PREDICTED, 0 * PREDICTED], 1)), always(3 * PREDICTED)
    guided = Interpolant(recipe).sample(network, NOISE, LABELS, EvalRecipe(nfe=2, cfg=3.0), MORE)
    torch.testing.assert_close(guided, Interpolant(recipe).sample(plain, NOISE, LABELS, EvalRecipe(nfe=2), MORE))


def test_an_interval_of_guidance_is_of_the_way_from_noise_to_data():
    sizes = []
    network = Known(lambda x, _given: sizes.append(x.shape[1]) or torch.zeros_like(x))
    evaluation = EvalRecipe(nfe=10, cfg=2.0, cfg_interval=(0.25, 0.75))
    Interpolant().sample(network, NOISE, LABELS, evaluation, MORE)
    assert sizes == [BATCH] * 3 + [2 * BATCH] * 5 + [BATCH] * 2


def test_as_the_public_code_guides_latents_a_fourth_channel_is_the_conditional_one():
    latents = NOISE.expand(LANES, BATCH, 4, 4, 4)
    conditional = torch.randn(latents.shape, dtype=torch.float64)
    network = always(torch.cat([conditional, 0 * conditional], 1))
    found = Interpolant().sample(network, latents, LABELS, EvalRecipe(nfe=1, cfg=3.0, cfg_channels="public"), MORE)
    expected = torch.cat([3 * conditional[:, :, :3], conditional[:, :, 3:]], 2)
    torch.testing.assert_close(found, latents + expected)
