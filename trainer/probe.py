"""What is measured on held-out images without sampling: validation loss, and the health of the representation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.data import Dataset
from trainer.dispersion import effective_rank, feature_norm
from trainer.interpolant import interpolate
from trainer.model import SiT
from trainer.randomness import Stream, generator

VALIDATION_IMAGES = 2048  # at most
VALIDATION_DRAWS = 4  # of time and noise for each image
CHUNK = 256


class Probe:
    """Fixed held-out images, times and noise, the same for every trial of a data set."""

    def __init__(self, data: Dataset, size: int, device: torch.device) -> None:
        held = min(len(data.held_images), VALIDATION_IMAGES)
        images = data.held_images[:held].repeat(VALIDATION_DRAWS, 1, 1, 1)
        random = generator(0, Stream.VALIDATION)
        noise = torch.randn(images.shape, generator=random)
        # Stratified: every part of [0, 1] is met equally often, which lowers the loss's variance.
        times = (torch.randperm(len(images), generator=random) + 0.5) / len(images)
        labels = data.held_labels[:held].repeat(VALIDATION_DRAWS)
        self._parts = [part.to(device) for part in (images, noise, times, labels)]
        self._size = min(size, held)

    def health(self, model: SiT, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return 'feature_norm.block_<i>' and 'effective_rank.block_<i>', each [K], on the first probe images."""
        images, noise, times, labels = (part[: self._size] for part in self._parts)
        lanes = weights["labels"].shape[0]
        x_t = interpolate(images, noise, times).x_t
        tokens = model(weights, _repeat(x_t, lanes), _repeat(times, lanes), _repeat(labels, lanes)).tokens
        health = {}
        for block, z_KBND in enumerate(tokens):
            z_KBE = z_KBND.flatten(2)
            health[f"feature_norm.block_{block}"] = feature_norm(z_KBE)
            health[f"effective_rank.block_{block}"] = effective_rank(z_KBE)
        return health

    def validation_loss(self, model: SiT, weights: Mapping[str, Tensor]) -> Tensor:
        """Return the mean squared velocity error over held-out images, [K]."""
        lanes = weights["labels"].shape[0]
        total = torch.zeros(lanes, device=self._parts[0].device)
        for images, noise, times, labels in zip(*(torch.split(part, CHUNK) for part in self._parts), strict=True):
            x_t, target = interpolate(images, noise, times)
            predicted = model(weights, _repeat(x_t, lanes), _repeat(times, lanes), _repeat(labels, lanes)).velocity
            total += (predicted - target).square().mean((2, 3, 4)).sum(1)
        return total / len(self._parts[0])


def _repeat(part: Tensor, lanes: int) -> Tensor:
    return part.expand(lanes, *part.shape)
