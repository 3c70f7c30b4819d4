"""DDPM's noise prediction against Bayes' rule, torch's distributions and networks whose answers are known."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.trainer.objectives.cases import BATCH, CPU, DRAWS, IMAGES, LABELS, LANES, MORE, NOISE, TIMES, Known
from trainer.objectives.diffusion import Diffusion
from trainer.objectives.diffusion_schedule import schedule
from trainer.recipe import DiffusionRecipe, EvalRecipe
from trainer.rng.step_noise import StepNoise, step_keys

STEPS = 1000
FIXED, LEARNED = (DiffusionRecipe(kind="diffusion", learned_variance=learned) for learned in (False, True))
BETA = np.linspace(1e-4, 0.02, STEPS)
ALPHA_BAR = torch.tensor(np.cumprod(1 - BETA))
PREDICTED = torch.randn(LANES, BATCH, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
STEP = (TIMES * STEPS).floor().long()


def at(numbers: torch.Tensor, step: torch.Tensor = STEP) -> torch.Tensor:
    return numbers[step][..., None, None, None]


def noised(images=IMAGES) -> torch.Tensor:
    return at(ALPHA_BAR).sqrt() * images + (1 - at(ALPHA_BAR)).sqrt() * NOISE


def oracle(images=IMAGES, share: float = 0.0, variance: bool = False) -> Known:
    """A network that knows the one image each sample comes from, and how it stands with the variance."""

    def answer(x, given):
        kept = at(ALPHA_BAR, (given.time.double() * STEPS).round().long())
        noise = (x - kept.sqrt() * images) / (1 - kept).sqrt()
        return torch.cat([noise, torch.full_like(noise, 2 * share - 1)], 2) if variance else noise

    return Known(answer)


@pytest.mark.parametrize("taken", [1, 2, 10, 1000])
def test_a_reverse_step_is_what_bayes_rule_gives(taken):
    """q(x_before | x, data) as the product of two normal densities in x_before, written out."""
    numbers = schedule(STEPS, taken)
    for i in range(1, taken):
        before, here = numbers.alpha_bar[i - 1], numbers.alpha_bar[i]
        alpha = here / before
        precision = alpha / (1 - alpha) + 1 / (1 - before)
        assert numbers.of_x[i] == pytest.approx(math.sqrt(alpha) / (1 - alpha) / precision)
        assert numbers.of_data[i] == pytest.approx(math.sqrt(before) / (1 - before) / precision)
        assert numbers.least_log_variance[i] == pytest.approx(-math.log(precision))
        assert numbers.most_log_variance[i] == pytest.approx(math.log(1 - alpha))
    assert (numbers.of_data[0], numbers.of_x[0]) == pytest.approx((1, 0))


def test_fewer_steps_are_spaced_evenly_and_keep_the_noise_of_those_they_are():
    numbers = schedule(STEPS, 250)
    assert (len(set(numbers.steps)), numbers.steps[0], numbers.steps[-1]) == (250, 0, 999)
    assert {*np.diff(numbers.steps)} <= {4, 5}
    np.testing.assert_allclose(numbers.alpha_bar, ALPHA_BAR.numpy()[numbers.steps])
    with pytest.raises(ValueError, match=r"eval.nfe is 1001; it can be at most objective.steps, 1000"):
        schedule(STEPS, 1001)


def test_the_cosine_schedule_is_that_of_improved_ddpm():
    found = schedule(STEPS, STEPS, "cosine").alpha_bar
    steps = np.arange(1, STEPS - 1) / STEPS
    expected = np.cos((steps + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(found[: STEPS - 2], expected)
    assert found[-1] / found[-2] == pytest.approx(0.001)


def test_clipped_samples_are_pixels():
    predicted = Known(lambda x, _given: 0.2 * x)
    for solver in ("ddim", "ancestral"):
        evaluation = EvalRecipe(nfe=10, solver=solver)
        recipes = (FIXED, FIXED.model_copy(update={"clip": True}))
        free, clipped = (Diffusion(one).sample(predicted, NOISE, LABELS, evaluation, MORE) for one in recipes)
        assert float(free.abs().max()) > 1 >= float(clipped.abs().max())
    found = Diffusion(FIXED.model_copy(update={"clip": True})).sample(
        oracle(IMAGES.clamp(-1, 1)), NOISE, LABELS, evaluation, MORE
    )
    torch.testing.assert_close(found, IMAGES.clamp(-1, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", [FIXED, LEARNED], ids=["fixed", "learned"])
def test_the_network_sees_the_noised_image_at_its_step(recipe):
    network = Known(lambda x, _given: torch.cat([x, x], 2) if recipe.learned_variance else x)
    learning = Diffusion(recipe).loss(network, IMAGES, LABELS, DRAWS, {1})
    ((x, given, _),) = network.calls
    torch.testing.assert_close(x, noised())
    torch.testing.assert_close(given.time * STEPS, STEP.double())
    assert set(learning.taps) == {1}
    torch.testing.assert_close(learning.recorded["train_loss"], (x - NOISE).square().mean((1, 2, 3, 4)))
    errors = Diffusion(recipe).held_out(network, IMAGES, LABELS, DRAWS)
    torch.testing.assert_close(errors.mean(1), learning.recorded["train_loss"])


def test_a_learned_variance_is_taught_by_the_divergence_from_the_true_reverse_step():
    images, step = IMAGES.clamp(-0.9, 0.9), STEP.clamp_min(1)
    draws = {**DRAWS, "time": (step + 0.5) / STEPS}
    learning = Diffusion(LEARNED).loss(Known(lambda _x, _given: PREDICTED), images, LABELS, draws, ())
    noise, share = PREDICTED[:, :, :1], (PREDICTED[:, :, 1:] + 1) / 2
    kept, before = at(ALPHA_BAR, step), at(ALPHA_BAR, step - 1)
    beta = 1 - kept / before
    x = kept.sqrt() * images + (1 - kept).sqrt() * NOISE
    variance = beta * (1 - before) / (1 - kept)

    def mean(data):
        return before.sqrt() * beta / (1 - kept) * data + (kept / before).sqrt() * (1 - before) / (1 - kept) * x

    data = (x - (1 - kept).sqrt() * noise) / kept.sqrt()
    learned = (share * beta.log() + (1 - share) * variance.log()).exp()
    divergence = kl_divergence(Normal(mean(images), variance.sqrt()), Normal(mean(data), learned.sqrt()))
    expected = divergence.mean((1, 2, 3, 4)) / math.log(2)
    torch.testing.assert_close(learning.recorded["variance_loss"], expected)
    torch.testing.assert_close(learning.loss, learning.recorded["train_loss"] + expected)


@pytest.mark.parametrize("learned", [False, True])
def test_min_snr_weights_each_samples_error_by_how_much_signal_its_step_has_left(learned):
    """Min-SNR for predicted noise, Hang et al. 2023: min(SNR, gamma) / SNR, written out."""
    plain, weighted = (
        DiffusionRecipe(kind="diffusion", learned_variance=learned, min_snr=gamma) for gamma in (None, 2.0)
    )
    predicted = PREDICTED if learned else PREDICTED[:, :, :1]
    network = Known(lambda _x, _given: predicted)
    snr = ALPHA_BAR[STEP] / (1 - ALPHA_BAR[STEP])
    assert (snr > 2).any()
    assert (snr < 2).any()
    weight = torch.where(snr > 2, 2 / snr, torch.ones_like(snr))
    error = (predicted[:, :, :1] - NOISE).square().mean((2, 3, 4))
    found = Diffusion(weighted).loss(network, IMAGES, LABELS, DRAWS, ())
    torch.testing.assert_close(found.recorded["train_loss"], (weight * error).mean(1), rtol=1e-9, atol=0)
    before = Diffusion(plain).loss(network, IMAGES, LABELS, DRAWS, ())
    # The bound that teaches the variance is as it was.
    added, was = (one.loss - one.recorded["train_loss"] for one in (found, before))
    torch.testing.assert_close(added, was, rtol=1e-9, atol=1e-12)
    assert before.recorded["train_loss"].allclose(error.mean(1))


def test_min_snr_of_a_gamma_above_every_steps_signal_changes_nothing():
    network = Known(lambda _x, _given: PREDICTED[:, :, :1])
    plain, weighted = (
        Diffusion(DiffusionRecipe(kind="diffusion", learned_variance=False, min_snr=gamma)) for gamma in (None, 1e6)
    )
    found = [one.loss(network, IMAGES, LABELS, DRAWS, ()).loss for one in (plain, weighted)]
    assert found[0].equal(found[1])


def test_at_the_first_step_it_is_taught_by_the_probability_of_the_pixels():
    images = torch.tensor([-1.0, -0.5, 0.0, 1.0], dtype=torch.float64).repeat(4).view(1, 1, 1, 4, 4)
    draws = {"noise": torch.full_like(images, 0.3), "time": torch.zeros(1, 1, dtype=torch.float64)}
    network = Known(lambda x, _given: torch.cat([torch.zeros_like(x), torch.zeros_like(x)], 2))
    learning = Diffusion(LEARNED).loss(network, images, LABELS[:1, :1], draws, ())
    numbers = schedule(STEPS, STEPS)
    x = math.sqrt(ALPHA_BAR[0]) * images + math.sqrt(1 - ALPHA_BAR[0]) * draws["noise"]
    deviation = math.exp(0.25 * (numbers.least_log_variance[0] + numbers.most_log_variance[0]))
    pixel = Normal(x / math.sqrt(ALPHA_BAR[0]), deviation)
    above, below = pixel.cdf(images + 1 / 255), pixel.cdf(images - 1 / 255)
    probability = torch.where(images < -0.999, above, torch.where(images > 0.999, 1 - below, above - below))
    bits = -probability.log().mean() / math.log(2)
    assert float(learning.recorded["variance_loss"]) == pytest.approx(float(bits), rel=2e-3)


def test_the_bound_teaches_the_variance_alone():
    predicted = PREDICTED.clone().requires_grad_()
    learning = Diffusion(LEARNED).loss(Known(lambda _x, _given: predicted), IMAGES, LABELS, DRAWS, ())
    (gradient,) = torch.autograd.grad(learning.loss.sum(), predicted)
    noise = PREDICTED[:, :, :1]
    torch.testing.assert_close(gradient[:, :, :1], 2 * (noise - NOISE) / NOISE[0].numel())
    assert float(gradient[:, :, 1:].abs().min()) > 0


@pytest.mark.parametrize("recipe", [FIXED, LEARNED], ids=["fixed", "learned"])
@pytest.mark.parametrize(("solver", "nfe"), [("ddim", 1), ("ddim", 10), ("ancestral", 1), ("ancestral", 100)])
def test_the_noise_of_one_image_leads_to_it(recipe, solver, nfe):
    network = oracle(variance=recipe.learned_variance)
    found = Diffusion(recipe).sample(network, NOISE, LABELS, EvalRecipe(nfe=nfe, solver=solver), MORE)
    # DDIM ends at the data; the mean of the last reverse step is the data too.
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=1e-6)
    assert len(network.calls) == nfe


@pytest.mark.parametrize("recipe", [FIXED, LEARNED], ids=["fixed", "learned"])
def test_ancestral_samples_of_normal_data_have_their_spread(recipe):
    count, spread = 5_000, 0.5

    def answer(x, given):
        kept = at(ALPHA_BAR, (given.time.double() * STEPS).round().long())
        noise = (1 - kept).sqrt() / (kept * spread**2 + 1 - kept) * x
        return torch.cat([noise, -torch.ones_like(noise)], 2) if recipe.learned_variance else noise

    noise = torch.randn(1, count, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    more = StepNoise(step_keys([0], 0, CPU), count, torch.arange(count))
    labels = torch.zeros(1, count).long()
    found = Diffusion(recipe).sample(Known(answer), noise, labels, EvalRecipe(nfe=100, solver="ancestral"), more)
    assert float(found.std()) == pytest.approx(spread, rel=0.1)


def test_guidance_leaves_the_variance_alone():
    conditional, without = torch.full_like(PREDICTED, 0.5), torch.zeros_like(PREDICTED)
    conditional[:, :, 1:] = 0.7

    def answer(x, _given):
        return torch.cat([conditional, without], 1) if x.shape[1] == 2 * BATCH else guided

    guided = torch.cat([3 * conditional[:, :, :1], conditional[:, :, 1:]], 2)
    parts = [
        Diffusion(LEARNED).sample(Known(answer), NOISE, LABELS, EvalRecipe(nfe=3, solver="ancestral", cfg=cfg), MORE)
        for cfg in (3.0, 1.0)
    ]
    torch.testing.assert_close(*parts)


def test_one_evaluation_sees_the_noisiest_step_first():
    network = oracle()
    Diffusion(FIXED).sample(network, NOISE, LABELS, EvalRecipe(nfe=4, solver="ddim"), MORE)
    assert [round(float(given.time.max()) * STEPS) for _, given, _ in network.calls] == [999, 666, 333, 0]
