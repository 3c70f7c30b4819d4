"""A training step of some lanes, as a cohort makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tests.trainer.regularisers.places import Places
from trainer.backbones.protocol import Backbone
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Lane, TrainRecipe
from trainer.regularisers.build import regulariser_of
from trainer.regularisers.protocol import Regulariser
from trainer.training.lane_state import initial_lanes
from trainer.training.running_means import RunningMeans
from trainer.training.train_step import TrainStep

CPU = torch.device("cpu")


def train_step(
    backbone: Backbone,
    lanes: Sequence[Lane],
    train: TrainRecipe,
    device: torch.device = CPU,
    noise: float = 0.0,
    make: Callable[..., Regulariser] = regulariser_of,
) -> TrainStep:
    """Return the step of lanes at their initial weights, to which so much noise is added."""
    objective = Interpolant()
    term = make(lanes, train, backbone, Places, device)
    learnt = initial_lanes(backbone, term, [lane.seed for lane in lanes], CPU)
    learnt.weights.add_(noise * torch.randn(learnt.weights.shape, generator=torch.Generator().manual_seed(0)))
    learnt.ema.copy_(learnt.weights[:, : learnt.ema.shape[1]])
    means = RunningMeans.zeros((*objective.recorded, *term.recorded), term.counted, len(lanes), device)
    return TrainStep(backbone, objective, term, train, learnt.copied(device), means, 0)
