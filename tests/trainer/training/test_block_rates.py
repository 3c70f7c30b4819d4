"""Later blocks at a rate of their own: a factor for every number of a lane's weights."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch

from tests.trainer.training.steps import train_step
from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.runtime import checkpoint
from trainer.training.batches import Batch
from trainer.training.block_rates import rate_factors
from trainer.training.train_step import Inputs

CPU = torch.device("cpu")
RECIPE = Recipe.model_validate(
    {
        "model": {"width": 16, "depth": 3, "heads": 2},
        "train": {"batch": 6, "steps": 6, "weight_decay": 0.3, "later_blocks": {"block": 1, "rate": 0.25}},
    }
)
PLAIN = RECIPE.train.model_copy(update={"later_blocks": None})
LANES = (Lane(Dispersion(), 0), Lane(Dispersion(blocks=(2,), lam=0.25, tau=0.5), 1))
RANDOM = torch.Generator().manual_seed(5)
BATCH = Batch(
    torch.randn(2, 6, 1, 8, 8, generator=RANDOM),
    torch.randint(0, 11, (2, 6), generator=RANDOM),
    {"noise": torch.randn(2, 6, 1, 8, 8, generator=RANDOM), "time": torch.rand(2, 6, generator=RANDOM)},
)
INPUTS = Inputs(BATCH, 1e-2, 0.1, torch.tensor(0.0))


def later_ones() -> torch.Tensor:
    """Which numbers belong to block 1 and after, by the names of a SiT's slots."""
    backbone, width = backbone_of(RECIPE, (1, 8, 8), 10, CPU), 16
    parts = []
    for name, slot in backbone.layout.items():
        is_later = torch.full(slot.shape, name.startswith(("1.", "2.")))
        if name.startswith("modulation"):
            is_later[..., 6 * width : 18 * width] = True
        parts.append(is_later.flatten())
    return torch.cat(parts)


def test_a_block_and_all_after_it_have_the_factor_with_their_modulations_and_nothing_else_has() -> None:
    backbone = backbone_of(RECIPE, (1, 8, 8), 10, CPU)
    factors = rate_factors(backbone.layout, 1, 0.25)
    assert torch.equal(factors == 0.25, later_ones())
    assert {*factors.tolist()} == {0.25, 1.0}


def test_a_step_is_that_of_an_optimiser_with_groups_of_their_own_rates() -> None:
    backbone, later = backbone_of(RECIPE, (1, 8, 8), 10, CPU), later_ones()
    step = train_step(backbone, LANES[:1], RECIPE.train, noise=0.1)
    begun = step.learnt.weights.clone()
    first, second = (part.clone().requires_grad_(True) for part in (begun[:, ~later], begun[:, later]))
    groups = [{"params": [first], "lr": 1e-2}, {"params": [second], "lr": 0.25e-2}]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.3)
    batch = BATCH.for_lanes(torch.tensor([0]))
    for _ in range(3):
        whole = torch.empty_like(begun)
        whole[:, ~later], whole[:, later] = first, second
        loss = Interpolant().loss(Network(backbone, views(whole, backbone.layout)), *batch, ()).loss
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        step(INPUTS._replace(batch=batch))
    # A step moves a number by 1e-2, or a quarter of it; the sign of a gradient that is next to none is chance.
    torch.testing.assert_close(step.learnt.weights[:, ~later], first.detach(), rtol=0, atol=3e-4)
    torch.testing.assert_close(step.learnt.weights[:, later], second.detach(), rtol=0, atol=3e-4)


def test_what_keeps_its_rate_takes_the_plain_step_bit_for_bit() -> None:
    backbone, later = backbone_of(RECIPE, (1, 8, 8), 10, CPU), later_ones()
    plain, rated = (train_step(backbone, LANES, train, noise=0.1) for train in (PLAIN, RECIPE.train))
    begun = plain.learnt.weights.clone()
    plain(INPUTS), rated(INPUTS)
    assert rated.learnt.weights[:, ~later].equal(plain.learnt.weights[:, ~later])
    moved, whole = rated.learnt.weights - begun, plain.learnt.weights - begun
    torch.testing.assert_close(moved[:, later], 0.25 * whole[:, later], rtol=1e-3, atol=1e-6)
    assert rated.learnt.exp_avg.equal(plain.learnt.exp_avg)


def test_blocks_at_rate_0_stay_as_they_are() -> None:
    backbone, later = backbone_of(RECIPE, (1, 8, 8), 10, CPU), later_ones()
    frozen = RECIPE.override({"train.later_blocks.rate": 0.0}).train
    step = train_step(backbone, LANES, frozen, noise=0.1)
    begun = step.learnt.weights.clone()
    step(INPUTS)
    assert step.learnt.weights[:, later].equal(begun[:, later])
    assert not step.learnt.weights[:, ~later].equal(begun[:, ~later])


def test_a_regularisers_own_weights_keep_their_rate() -> None:
    recipe = RECIPE.override({"train.repa.lambda": 0.5})
    backbone = backbone_of(recipe, (1, 8, 8), 10, CPU)
    rated, plain = (
        train_step(backbone, LANES, train, noise=0.1)
        for train in (recipe.train, recipe.train.model_copy(update={"later_blocks": None}))
    )
    rated(INPUTS), plain(INPUTS)
    size = sum(prod(slot.shape) for slot in backbone.layout.values())
    assert rated.learnt.weights.shape[1] > size
    assert rated.learnt.weights[:, size:].equal(plain.learnt.weights[:, size:])


def test_lanes_with_rates_resume_and_part_bit_for_bit(build, tmp_path: Path) -> None:
    def state(cohort, lane: int) -> torch.Tensor:
        return cohort.state_dict()["weights"][cohort.living.index(lane)]

    whole = build(LANES, RECIPE)
    whole.advance(4)
    begun = build(LANES, RECIPE)
    begun.advance(2)
    checkpoint.save(tmp_path / "c", begun.state_dict(), "mine")
    resumed = build(LANES, RECIPE)
    resumed.load_state_dict(checkpoint.load(tmp_path / "c", "mine"))
    resumed.advance(4)
    assert state(resumed, 0).equal(state(whole, 0))
    begun.keep([1])
    begun.advance(4)
    torch.testing.assert_close(state(begun, 1), state(whole, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", [1, 0.34])
def test_a_recipe_is_named_by_the_block_however_that_is_written_and_one_without_keeps_its_hash(block: object) -> None:
    assert RECIPE.override({"train.later_blocks.block": block}).hash == RECIPE.hash
    assert Recipe().hash == "642a8255d40bbfc5"


@pytest.mark.parametrize(
    ("later", "says"),
    [({"rate": 1}, "must not be 1"), ({"block": 7, "rate": 0.5}, "within this model's depth"), ({}, "Field required")],
)
def test_rates_that_change_nothing_or_name_no_block_are_refused(later: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Recipe.model_validate({"train": {"later_blocks": later}})
