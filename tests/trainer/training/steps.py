"""A training step of some lanes, as a cohort makes it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainer.backbones.protocol import Backbone
from trainer.objectives.velocity import Velocity
from trainer.recipe import Lane, TrainRecipe
from trainer.regularisers.groups import DispersiveTerm
from trainer.rng.streams import Stream, generator
from trainer.training.running_means import RunningMeans
from trainer.training.train_step import LaneState, TrainStep

CPU = torch.device("cpu")


def train_step(
    backbone: Backbone, lanes: Sequence[Lane], train: TrainRecipe, device: torch.device = CPU, noise: float = 0.0
) -> TrainStep:
    """Return the step of lanes at their initial weights, to which so much noise is added."""
    flat = torch.stack([backbone.initial_weights(generator(lane.seed, Stream.INIT)) for lane in lanes])
    flat = flat + noise * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    objective = Velocity()
    term = DispersiveTerm([lane.dispersion for lane in lanes], train.batch, backbone.elements, device)
    means = RunningMeans.zeros((*objective.recorded, *term.recorded), term.counted, len(lanes), device)
    return TrainStep(backbone, objective, term, train, LaneState.initial(flat.to(device)), means, 0)
