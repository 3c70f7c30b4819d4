"""The velocity objective on a network whose answers are known."""

import pytest
import torch

from trainer.backbones.protocol import Output
from trainer.objectives.build import objective_of
from trainer.objectives.interpolant import interpolate
from trainer.objectives.velocity import Velocity
from trainer.recipe import EvalRecipe, Recipe
from trainer.rng.draws import Draw

LANES, BATCH, CLASSES = 3, 6, 4
RANDOM = torch.Generator().manual_seed(7)
IMAGES, NOISE, PREDICTED = (torch.randn(LANES, BATCH, 1, 4, 4, generator=RANDOM) for _ in range(3))
LABELS = torch.randint(0, CLASSES + 1, (LANES, BATCH), generator=RANDOM)
DRAWS = {"noise": NOISE, "time": torch.rand(LANES, BATCH, generator=RANDOM)}


class Known:
    """Predicts what it was given to predict, and keeps what it was called with."""

    classes = CLASSES

    def __init__(self, predicted=PREDICTED) -> None:
        self.backbone, self.predicted, self.calls = self, predicted.clone().requires_grad_(), []

    def __call__(self, x, given, taps=()):
        self.calls.append((x, given, taps))
        return Output(self.predicted, {tap: x[:, :, 0] + tap for tap in taps})


def test_loss_is_the_mean_squared_error_of_each_lanes_velocity():
    network = Known()
    learning = Velocity().loss(network, IMAGES, LABELS, DRAWS, ())
    for lane in range(LANES):
        regression = float(torch.nn.functional.mse_loss(PREDICTED[lane], IMAGES[lane] - NOISE[lane]))
        assert float(learning.loss[lane].detach()) == pytest.approx(regression, rel=1e-5)
    assert learning.loss.requires_grad


def test_what_is_recorded_is_the_loss_without_a_gradient():
    learning = Velocity().loss(Known(), IMAGES, LABELS, DRAWS, ())
    assert tuple(learning.recorded) == Velocity.recorded == ("train_loss",)
    assert torch.equal(learning.recorded["train_loss"], learning.loss)
    assert not learning.recorded["train_loss"].requires_grad


def test_the_network_sees_the_path_at_the_drawn_time_with_its_labels():
    network = Known()
    taps = Velocity().loss(network, IMAGES, LABELS, DRAWS, {0, 2}).taps
    x, given = Velocity().seen(IMAGES, LABELS, DRAWS)
    ((called_with, conditioning, asked),) = network.calls
    assert torch.equal(called_with, interpolate(IMAGES, NOISE, DRAWS["time"]).x_t)
    assert torch.equal(called_with, x)
    for seen in (conditioning, given):
        assert torch.equal(seen.time, DRAWS["time"])
        assert torch.equal(seen.label, LABELS)
        assert seen.until is None
    assert set(asked) == set(taps) == {0, 2}
    assert torch.equal(taps[2], x[:, :, 0] + 2)


def test_the_held_out_error_of_every_image_has_the_loss_as_its_mean():
    errors = Velocity().held_out(Known(), IMAGES, LABELS, DRAWS)
    assert errors.shape == (LANES, BATCH)
    torch.testing.assert_close(errors.mean(1), Velocity().loss(Known(), IMAGES, LABELS, DRAWS, ()).loss)


def test_noise_is_drawn_before_time():
    wanted = {"noise": Draw("normal", "pixel"), "time": Draw("uniform", "sample")}
    assert list(Velocity.draws.items()) == list(wanted.items())


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_constant_velocity_carries_noise_to_the_image_it_points_at(solver):
    network = Known(IMAGES - NOISE)
    found = Velocity().sample(network, NOISE, LABELS, EvalRecipe(nfe=4, solver=solver, cfg=1.0))
    torch.testing.assert_close(found, IMAGES, rtol=1e-5, atol=1e-5)
    assert len(network.calls) == 4
    assert float(network.calls[0][1].time.max()) == 0


def test_guidance_asks_for_the_velocity_without_labels_in_the_same_call():
    network = Known(torch.cat([PREDICTED, 0 * PREDICTED], 1))
    found = Velocity().sample(network, NOISE, LABELS, EvalRecipe(nfe=1, solver="euler", cfg=3.0))
    ((x, given, _),) = network.calls
    assert torch.equal(x, torch.cat([NOISE, NOISE], 1))
    assert torch.equal(given.label, torch.cat([LABELS, torch.full_like(LABELS, CLASSES)], 1))
    torch.testing.assert_close(found, NOISE + 3 * PREDICTED)


def test_a_recipe_learns_the_velocity():
    assert isinstance(objective_of(Recipe()), Velocity)
