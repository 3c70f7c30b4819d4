"""MeanFlow's target by finite differences, on networks whose answers are known and on a SiT."""

import pytest
import torch

from tests.trainer.objectives.cases import (
    BATCH,
    CLASSES,
    CPU,
    DRAWS,
    IMAGES,
    LABELS,
    LANES,
    MORE,
    NOISE,
    OTHERS,
    TIMES,
    Known,
    column,
)
from trainer.backbones.flat_parameters import leaves
from trainer.backbones.protocol import Conditioning, Network
from trainer.backbones.sit import SiT
from trainer.objectives.mean_flow import MeanFlow
from trainer.recipe import EvalRecipe, MeanFlowRecipe, SiTRecipe
from trainer.recipe.objective import Demands

PLAIN = MeanFlowRecipe(kind="mean_flow", times="uniform", power=0, instant_share=0.5)
T, R = torch.maximum(TIMES, OTHERS), torch.minimum(TIMES, OTHERS)
R = torch.where(torch.arange(BATCH) < BATCH // 2, T, R)
Z = (1 - column(T)) * IMAGES + column(T) * NOISE
VELOCITY = NOISE - IMAGES


def smooth(x, given):
    """A prediction that depends on all it is shown."""
    return (x * (1 + column(given.time)) + column(given.until) ** 2).sin()


def slope(network, z, t, r, direction, step=1e-6) -> torch.Tensor:
    """du/dt along z' = direction, t' = 1, r' = 0, by a central difference."""
    ahead, behind = (
        network(z + sign * step * direction, Conditioning(t + sign * step, LABELS, r)).prediction for sign in (1, -1)
    )
    return (ahead - behind) / (2 * step)


def test_the_target_is_the_velocity_less_the_interval_times_the_slope_along_the_path():
    network = Known(smooth)
    learning = MeanFlow(PLAIN).loss(network, IMAGES, LABELS, DRAWS, {0})
    target = VELOCITY - column(T - R) * slope(network, Z, T, R, VELOCITY)
    squares = (smooth(Z, Conditioning(T, LABELS, R)) - target).square()
    torch.testing.assert_close(learning.loss, squares.sum((2, 3, 4)).mean(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(learning.recorded["train_loss"], squares.mean((1, 2, 3, 4)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(learning.taps[0], Z[:, :, 0])


def test_where_the_interval_is_empty_it_is_the_velocity():
    recipe = PLAIN.model_copy(update={"instant_share": 1.0})
    learning = MeanFlow(recipe).loss(Known(smooth), IMAGES, LABELS, DRAWS, ())
    t = column(T)
    expected = ((Z * (1 + t) + t**2).sin() - VELOCITY).square().mean((1, 2, 3, 4))
    torch.testing.assert_close(learning.recorded["train_loss"], expected)


@pytest.mark.parametrize(("power", "offset"), [(1.0, 0.01), (0.5, 1.0)])
def test_each_sample_is_weighted_by_its_own_error_which_has_no_gradient(power, offset):
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    recipe = PLAIN.model_copy(update={"power": power, "offset": offset, "instant_share": 1.0})
    loss = MeanFlow(recipe).loss(Known(lambda x, _given: scale * x), IMAGES, LABELS, DRAWS, ()).loss.sum()
    errors = (1.3 * Z - VELOCITY).square().sum((2, 3, 4))
    torch.testing.assert_close(loss.detach(), (errors / (errors + offset) ** power).mean(1).sum())
    by_hand = (2 * (1.3 * Z - VELOCITY) * Z).sum((2, 3, 4)) / (errors + offset) ** power
    torch.testing.assert_close(torch.autograd.grad(loss, scale)[0], by_hand.mean(1).sum())


def test_guidance_in_training_mixes_the_networks_velocities_except_where_the_label_is_dropped():
    recipe = PLAIN.model_copy(update={"instant_share": 1.0, "omega": 1.5, "kappa": 0.25})
    without, own = torch.randn(2, *IMAGES.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def answer(x, given):
        nothing = (given.label == CLASSES)[..., None, None, None]
        return torch.where(nothing, without, own) + 0 * x

    mixed = 1.5 * VELOCITY + (1 - 1.5 - 0.25) * without + 0.25 * own
    dropped = (LABELS == CLASSES)[..., None, None, None]
    expected = (torch.where(dropped, without, own) - torch.where(dropped, VELOCITY, mixed)).square()
    learning = MeanFlow(recipe).loss(Known(answer), IMAGES, LABELS, DRAWS, ())
    assert 0 < int(dropped.sum()) < LABELS.numel()
    torch.testing.assert_close(learning.recorded["train_loss"], expected.mean((1, 2, 3, 4)))


def test_intervals_run_from_the_smaller_time_to_the_larger_and_the_first_are_empty():
    network = Known(smooth)
    MeanFlow(PLAIN).loss(network, IMAGES, LABELS, DRAWS, ())
    given = network.calls[0][1]
    empty = torch.arange(BATCH) < BATCH // 2
    with torch.no_grad():
        seen = [(torch.equal(T[:, empty], R[:, empty])), bool((R[:, ~empty] < T[:, ~empty]).all())]
    assert seen == [True, True]
    assert given.until is not None


@pytest.mark.parametrize("nfe", [1, 2, 5])
def test_the_average_velocity_of_one_image_leads_to_it_in_any_number_of_steps(nfe):
    network = Known(lambda x, given: (x - IMAGES) / column(given.time))
    found = MeanFlow(PLAIN).sample(network, NOISE, LABELS, EvalRecipe(nfe=nfe), MORE)
    torch.testing.assert_close(found, IMAGES)
    times = [(float(given.time[0, 0]), float(given.until[0, 0])) for _, given, _ in network.calls]
    expected = [(1 - i / nfe, 1 - (i + 1) / nfe) for i in range(nfe)]
    assert [end for pair in times for end in pair] == pytest.approx([end for pair in expected for end in pair])


@pytest.fixture
def sit():
    torch.set_default_dtype(torch.float64)
    demands = Demands(has_interval=True)
    yield SiT(SiTRecipe(width=16, depth=2, heads=2), (1, 4, 4), CLASSES, 3.0, CPU, demands)
    torch.set_default_dtype(torch.float32)


def test_through_a_sit_the_loss_and_its_gradient_are_those_of_finite_differences(sit):
    size = sum(torch.Size(slot.shape).numel() for slot in sit.layout.values())
    flat = 0.3 * torch.randn(LANES, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = leaves(flat, sit.layout)
    network = Network(sit, weights)
    learning = MeanFlow(PLAIN).loss(network, IMAGES, LABELS, DRAWS, {1})
    with torch.no_grad():
        target = VELOCITY - column(T - R) * slope(network, Z, T, R, VELOCITY)
    output = network(Z, Conditioning(T, LABELS, R), {1})
    expected = (output.prediction - target).square().sum((2, 3, 4)).mean(1)
    torch.testing.assert_close(learning.loss, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(learning.taps[1], output.taps[1])
    both = [
        torch.autograd.grad(loss.sum() + tap.square().sum(), [*weights.values()])
        for loss, tap in ((learning.loss, learning.taps[1]), (expected, output.taps[1]))
    ]
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
