"""Noise prediction on networks whose answers are known, and in a cohort that learns."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from trainer.backbones.protocol import Output
from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.objectives.build import objective_of
from trainer.objectives.interpolant import interpolate
from trainer.objectives.noise import MARGIN, Noise, times
from trainer.recipe import DataRecipe, Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.recipe.training import Predicts
from trainer.training.cohort import Cohort

LANES, BATCH, CLASSES = 2, 5, 4
RANDOM = torch.Generator().manual_seed(3)
IMAGES, NOISE, PREDICTED = (torch.randn(LANES, BATCH, 1, 4, 4, generator=RANDOM, dtype=torch.float64) for _ in range(3))
LABELS = torch.randint(0, CLASSES + 1, (LANES, BATCH), generator=RANDOM)
DRAWS = {"noise": NOISE, "time": torch.rand(LANES, BATCH, generator=RANDOM, dtype=torch.float64)}


class Oracle:
    """Predicts the noise that leads from what it is shown to known images, or what it was given."""

    classes = CLASSES

    def __init__(self, images=IMAGES, predicted=None) -> None:
        self.backbone, self.images, self.predicted, self.calls = self, images, predicted, []

    def __call__(self, x, given, taps=()):
        self.calls.append((x, given, taps))
        t = given.time.double()[..., None, None, None]
        found = self.predicted if self.predicted is not None else (x - t * self.images) / (1 - t)
        return Output(found, {tap: x[:, :, 0] + tap for tap in taps})


def test_loss_is_the_mean_squared_error_of_each_lanes_noise():
    learning = Noise().loss(Oracle(predicted=PREDICTED), IMAGES, LABELS, DRAWS, {1})
    for lane in range(LANES):
        regression = float(torch.nn.functional.mse_loss(PREDICTED[lane], NOISE[lane]))
        assert float(learning.loss[lane]) == pytest.approx(regression, rel=1e-12)
    assert tuple(learning.recorded) == Noise.recorded
    assert set(learning.taps) == {1}
    errors = Noise().held_out(Oracle(predicted=PREDICTED), IMAGES, LABELS, DRAWS)
    torch.testing.assert_close(errors.mean(1), learning.loss)


def test_the_network_sees_times_between_the_margins():
    network = Oracle()
    Noise().loss(network, IMAGES, LABELS, DRAWS, ())
    ((x, given, _),) = network.calls
    assert torch.equal(given.time, MARGIN + (1 - 2 * MARGIN) * DRAWS["time"])
    assert torch.equal(x, interpolate(IMAGES, NOISE, given.time).x_t)
    assert float(Noise().loss(network, IMAGES, LABELS, DRAWS, ()).loss.max()) < 1e-20


@pytest.mark.parametrize(("solver", "nfe"), [("euler", 1), ("euler", 10), ("heun", 20)])
def test_the_noise_of_one_image_leads_to_it_but_for_the_margin(solver, nfe):
    """Along x_t = t data + (1 - t) noise Euler is exact at any step, and Heun nearly."""
    found = Noise().sample(Oracle(), NOISE, LABELS, EvalRecipe(nfe=nfe, solver=solver))
    left = MARGIN / (1 - MARGIN)
    torch.testing.assert_close(found, IMAGES + left * (NOISE - IMAGES), rtol=0, atol=1e-6 if solver == "euler" else 0.1)


def test_the_velocity_is_that_of_the_public_transport():
    """Its probability flow: -drift + diffusion score, with score = -noise / (1 - t) (willisma/SiT, transport.py)."""
    x, noise = IMAGES, NOISE
    for t in (MARGIN, 0.3, 0.9):
        drift, diffusion, score = -x / t, (1 - t) / t, -noise / (1 - t)
        torch.testing.assert_close((x - noise) / t, -drift + diffusion * score)


def test_times_are_even_in_the_log_of_the_ratio_and_end_at_the_margins():
    found = torch.tensor(times(8), dtype=torch.float64)
    assert (float(found[0]), float(found[-1])) == pytest.approx((MARGIN, 1 - MARGIN))
    steps = (found / (1 - found)).log().diff()
    torch.testing.assert_close(steps, steps[:1].expand(8))


def test_guidance_is_of_the_noise():
    network = Oracle(predicted=torch.cat([PREDICTED, 0 * PREDICTED], 1))
    plain = Oracle(predicted=3 * PREDICTED)
    guided = Noise().sample(network, NOISE, LABELS, EvalRecipe(nfe=2, cfg=3.0))
    torch.testing.assert_close(guided, Noise().sample(plain, NOISE, LABELS, EvalRecipe(nfe=2)))


@pytest.mark.parametrize("what", get_args(Predicts))
def test_a_recipe_says_what_is_predicted_and_a_recorded_one_keeps_its_hash(what):
    recipe = Recipe().override({"train.predicts": what})
    assert type(objective_of(recipe)).__name__.lower() == what
    assert (recipe.hash == Recipe().hash) == (what == "velocity")


def test_it_learns_and_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path):
    recipe = Recipe(
        data=DataRecipe(name="digits", limit=200),
        model=SiTRecipe(width=16, depth=2, heads=2),
        train=TrainRecipe(steps=60, batch=16, warmup=5, predicts="noise"),
        eval=EvalRecipe(samples=100, batch=50, probe=16),
    )
    data, cpu = load(recipe.data), torch.device("cpu")
    evaluator = Evaluator(recipe.eval, data, tmp_path, cpu)

    def cohort() -> Cohort:
        lanes = [Lane(Dispersion(), 0), Lane(Dispersion(blocks=(1,), lam=0.1), 1)]
        return Cohort(recipe, lanes, data, cpu, evaluator)

    whole, first, second = cohort(), cohort(), cohort()
    whole.advance(60)
    first.advance(25)
    second.load_state_dict({name: part.clone() for name, part in first.state_dict().items()})
    second.advance(60)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), second.state_dict()[name].nan_to_num()), name
    begun, ended = cohort(), whole
    begun.advance(1)
    assert all(now.metrics["train_loss"] < 0.7 * then.metrics["train_loss"]
               for now, then in zip(ended.measure(), begun.measure(), strict=True))  # fmt: skip
