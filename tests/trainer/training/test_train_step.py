"""What a step minimises: an objective's loss plus lambda times the Dispersive Loss of each lane's own taps."""

import pytest
import torch

from tests.trainer.training.steps import train_step
from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import leaves
from trainer.backbones.protocol import Network
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.regularisers.dispersive import dispersive_loss
from trainer.training.batches import Batch
from trainer.training.train_step import Inputs

CPU = torch.device("cpu")
RECIPE = Recipe(model=SiTRecipe(width=16, depth=3, heads=2), train=TrainRecipe(batch=6))
LANES = (
    Lane(Dispersion(), 0),
    Lane(Dispersion(blocks=(2,), lam=0.25, tau=0.5), 1),
    Lane(Dispersion(blocks=(0, 2), lam=0.5, tau=2.0, variant="cosine"), 2),
)
RANDOM = torch.Generator().manual_seed(5)
BATCH = Batch(
    torch.randn(3, 6, 1, 8, 8, generator=RANDOM),
    torch.randint(0, 11, (3, 6), generator=RANDOM),
    {"noise": torch.randn(3, 6, 1, 8, 8, generator=RANDOM), "time": torch.rand(3, 6, generator=RANDOM)},
)


def total(lane: int, weights: dict[str, torch.Tensor], backbone) -> torch.Tensor:
    """What one lane alone minimises, written out."""
    part = BATCH.for_lanes(torch.tensor([lane]))
    setting, learning = (
        LANES[lane].setting,
        Interpolant().loss(Network(backbone, weights), *part, range(3)),
    )
    tau = torch.tensor([setting.tau])
    each = [dispersive_loss(learning.taps[tap].flatten(2), tau, setting.variant) for tap in setting.blocks]
    return learning.loss + setting.lam * sum(each) / len(each)


def test_each_lane_goes_down_its_loss_plus_lambda_times_its_own_dispersion():
    backbone = backbone_of(RECIPE, (1, 8, 8), 10, CPU)
    step = train_step(backbone, LANES, RECIPE.train, noise=0.1)
    begun = step.learnt.weights.clone()
    step(Inputs(BATCH, 1e-3, 0.1, torch.tensor(0.0)))
    for lane in range(3):
        named = leaves(begun[lane : lane + 1], backbone.layout)
        expected = torch.autograd.grad(total(lane, named, backbone).sum(), list(named.values()))
        found = step.learnt.exp_avg[lane] / (1 - RECIPE.train.beta1)
        torch.testing.assert_close(found, torch.cat([part.flatten() for part in expected]), rtol=1e-4, atol=1e-6)


def test_a_lane_without_dispersion_learns_what_it_would_where_nobody_disperses():
    backbone = backbone_of(RECIPE, (1, 8, 8), 10, CPU)
    beside, alone = (train_step(backbone, lanes, RECIPE.train, noise=0.1) for lanes in (LANES, [LANES[0]] * 3))
    alone.learnt.weights.copy_(beside.learnt.weights)
    for step in (beside, alone):
        step(Inputs(BATCH, 1e-3, 0.1, torch.tensor(0.0)))
    assert torch.equal(beside.learnt.weights[0], alone.learnt.weights[0])
    assert not torch.equal(beside.learnt.weights[1], alone.learnt.weights[1])


def test_what_objective_and_regulariser_record_is_kept_by_name():
    step = train_step(backbone_of(RECIPE, (1, 8, 8), 10, CPU), LANES, RECIPE.train)
    step(Inputs(BATCH, 1e-3, 0.1, torch.tensor(0.0)))
    read = step.means.read()
    assert list(read) == ["train_loss", "dispersive_loss", "floor_distance", "floor_share"]
    assert read["dispersive_loss"].isnan().tolist() == [True, False, False]
    # The network begins with a prediction of 0.
    expected = (BATCH.images - BATCH.draws["noise"]).square().mean((1, 2, 3, 4))
    assert read["train_loss"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_gradient_is_clipped_lane_by_lane_as_torch_clips_it():
    backbone = backbone_of(RECIPE, (1, 8, 8), 10, CPU)
    plain, clipped = (
        train_step(backbone, LANES, RECIPE.train.model_copy(update={"clip": clip}), noise=0.1) for clip in (None, 0.02)
    )
    for step in (plain, clipped):
        step(Inputs(BATCH, 1e-3, 0.1, torch.tensor(0.0)))
    for whole, part in zip(plain.learnt.exp_avg, clipped.learnt.exp_avg, strict=True):
        parameter = torch.nn.Parameter(torch.zeros_like(whole))
        parameter.grad = whole / (1 - RECIPE.train.beta1)
        assert float(parameter.grad.norm()) > 0.02
        torch.nn.utils.clip_grad_norm_([parameter], 0.02)
        torch.testing.assert_close(part / (1 - RECIPE.train.beta1), parameter.grad, rtol=1e-4, atol=1e-7)
    wide = train_step(backbone, LANES, RECIPE.train.model_copy(update={"clip": 1e6}), noise=0.1)
    wide(Inputs(BATCH, 1e-3, 0.1, torch.tensor(0.0)))
    assert torch.equal(wide.learnt.weights, plain.learnt.weights)
