"""What a lane takes by formula is about what autograd keeps."""

from __future__ import annotations

import pytest
import torch

from trainer.backbones.build import backbone_of
from trainer.backbones.flat_parameters import Shadow, leaves
from trainer.backbones.protocol import Network
from trainer.backbones.sit import SiT
from trainer.objectives.build import objective_of
from trainer.recipe import Recipe
from trainer.rng.draws import from_generator
from trainer.training.lane_memory import lane_memory, parameter_count

SHAPE, CLASSES, BATCH = (4, 18, 18), 10, 8
CPU = torch.device("cpu")


def recipe(depth: int, precision: str, ratio: float = 4.0, kind: str = "interpolant") -> Recipe:
    model = {"width": 64, "depth": depth, "heads": 4, "mlp_ratio": ratio}
    tree = {"model": model, "objective": {"kind": kind}, "train": {"batch": BATCH, "precision": precision}}
    return Recipe.model_validate(tree)


def sit(given: Recipe) -> SiT:
    built = backbone_of(given, SHAPE, CLASSES, CPU)
    assert isinstance(built, SiT)
    return built


def kept(given: Recipe) -> int:
    """Bytes that autograd keeps of a step's forward pass, weights aside."""
    network, objective, random = sit(given), objective_of(given), torch.Generator().manual_seed(0)
    flat = network.initial_weights(random)[None]
    shadow = Shadow(flat, network.layout) if given.train.precision == "bf16" else None
    weights = shadow.leaves if shadow else leaves(flat, network.layout)
    learnt = {weight.untyped_storage().data_ptr() for weight in weights.values()}
    seen: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    drawn = from_generator(objective.draws, random, BATCH, SHAPE, CPU)
    draws = {name: part[None] for name, part in drawn.items()}
    images, labels = torch.randn(1, BATCH, *SHAPE), torch.zeros(1, BATCH, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        objective.loss(Network(network, weights, shadow is not None), images, labels, draws, ())
    return sum(tensor.untyped_storage().nbytes() for at, tensor in seen.items() if at not in learnt)


@pytest.mark.parametrize("ratio", [2.0, 4.0])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_blocks_activations_are_those_autograd_keeps(precision: str, ratio: float) -> None:
    one, three = recipe(1, precision, ratio), recipe(3, precision, ratio)
    measured = (kept(three) - kept(one)) / 2
    by_formula = (lane_memory(three, sit(three)).activations - lane_memory(one, sit(one)).activations) / 2
    assert by_formula == pytest.approx(measured, rel=0.03)


def test_a_lane_of_the_largest_depth_fits_and_one_block_more_does_not() -> None:
    given = recipe(3, "bf16", kind="diffusion")
    free = lane_memory(recipe(7, "bf16", kind="diffusion"), sit(recipe(7, "bf16", kind="diffusion"))).total * 1.001
    assert lane_memory(given, sit(given)).largest_depth(3, free) == 7
    assert lane_memory(given, sit(given)).largest_depth(3, 1.0) == 0


def test_a_lanes_state_is_its_weights_moments_average_and_gradients() -> None:
    given = recipe(2, "fp32")
    assert lane_memory(given, sit(given)).state == 24 * parameter_count(sit(given))
