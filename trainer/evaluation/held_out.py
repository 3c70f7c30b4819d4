"""What is measured on held-out images without sampling: validation loss, and the health of the representation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.sit import SiT
from trainer.data.dataset import Dataset
from trainer.objectives.interpolant import interpolate
from trainer.regularisers.representation import effective_rank, feature_norm, median_distance
from trainer.rng.streams import Stream, generator

VALIDATION_IMAGES = 2048  # at most
VALIDATION_DRAWS = 4  # of time and noise for each image
CHUNK = 256


class _Inputs(NamedTuple):
    x_t: Tensor
    times: Tensor
    labels: Tensor
    velocity: Tensor

    def of(self, lanes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return what a model takes, seen by every lane."""
        return _seen(self.x_t, lanes), _seen(self.times, lanes), _seen(self.labels, lanes)


class Probe:
    """Fixed held-out images, times and noise, the same for every trial of a data set.

    `images` and `labels` are a random choice in random order, so that the first few of them are one as well.
    """

    def __init__(self, data: Dataset, size: int, device: torch.device) -> None:
        random = generator(0, Stream.VALIDATION)
        # Held-out images often lie class by class; their first few would be of the first classes alone.
        chosen = torch.randperm(len(data.held_images), generator=random)[:VALIDATION_IMAGES]
        self.images, self.labels = data.held_images[chosen].to(device), data.held_labels[chosen].to(device)
        self._draws = len(chosen) * VALIDATION_DRAWS
        # Stratified: every part of [0, 1] is met equally often, which lowers the loss's variance.
        self._times = ((torch.randperm(self._draws, generator=random) + 0.5) / self._draws).to(device)
        self._size = min(size, len(chosen))

    def health(self, model: SiT, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the health of every block's output on the first probe images, each [K].

        'feature_norm.block_<i>', 'effective_rank.block_<i>' and 'pairwise_distance.block_<i>' (in the units of tau).
        """
        parts = zip(*self._inputs(self._size), strict=True)
        inputs = _Inputs(*(torch.cat(part) for part in parts))
        health = {}
        for block, z_KBND in enumerate(model.after_blocks(weights, *inputs.of(weights["labels"].shape[0]))):
            z_KBE = z_KBND.flatten(2)
            health[f"feature_norm.block_{block}"] = feature_norm(z_KBE)
            health[f"effective_rank.block_{block}"] = effective_rank(z_KBE)
            health[f"pairwise_distance.block_{block}"] = median_distance(z_KBE)
        return health

    def validation_loss(self, model: SiT, weights: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared velocity error over held-out images, [K]."""
        lanes = weights["labels"].shape[0]
        total = torch.zeros(lanes, device=self.images.device)
        for inputs in self._inputs(self._draws):
            predicted = model(weights, *inputs.of(lanes)).velocity
            total += (predicted - inputs.velocity).square().mean((2, 3, 4)).sum(1)
        return total / self._draws

    def _inputs(self, count: int) -> Iterator[_Inputs]:
        """Give the first `count` draws, a chunk at a time; draws go round the images."""
        device = self.images.device
        for chunk, start in enumerate(range(0, count, CHUNK)):
            draws = torch.arange(start, min(start + CHUNK, count), device=device)
            rows, times = draws % len(self.images), self._times[draws]
            # Always of a whole chunk: torch draws other numbers for another shape.
            noise = torch.randn((CHUNK, *self.images.shape[1:]), generator=generator(0, Stream.VALIDATION, chunk + 1))
            x_t, velocity = interpolate(self.images[rows], noise[: len(draws)].to(device), times)
            yield _Inputs(x_t, times, self.labels[rows], velocity)


def _seen(part: Tensor, lanes: int) -> Tensor:
    return part.expand(lanes, *part.shape)
