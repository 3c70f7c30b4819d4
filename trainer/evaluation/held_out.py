"""Metrics of held-out images, without sampling: validation loss, and the health of the representation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from trainer.backbones.protocol import Network
from trainer.data.dataset import Dataset
from trainer.objectives.protocol import Objective
from trainer.recipe import METRICS, MetricName
from trainer.recipe.metrics import VALIDATION_DRAWS, VALIDATION_IMAGES
from trainer.regularisers.representation import alignment, effective_rank, feature_norm, median_distance, uniformity
from trainer.rng.draws import Draw, from_generator
from trainer.rng.streams import Stream, generator

CHUNK = 256
OTHER_NOISE = 2_000_000  # index of its stream, beyond all chunks'
CPU = torch.device("cpu")


class HeldOut:
    """Fixed held-out images and draws, the same for every trial of a data set.

    `images` and `labels` are a random choice in random order, so that the first few of them are one as well.
    """

    def __init__(self, data: Dataset, objective: Objective, size: int, device: torch.device) -> None:
        self._objective = objective
        random = generator(0, Stream.VALIDATION)
        # Held-out images often lie class by class; their first few would be of the first classes alone.
        chosen = torch.randperm(len(data.held_images), generator=random)[:VALIDATION_IMAGES]
        self.images, self.labels = data.held_images[chosen].to(device), data.held_labels[chosen].to(device)
        self._count = len(chosen) * VALIDATION_DRAWS
        # Stratified: times cover [0, 1] evenly, which lowers the loss's variance.
        self._stratified = {
            name: ((torch.randperm(self._count, generator=random) + 0.5) / self._count).to(device)
            for name, draw in objective.draws.items()
            if _is_stratified(draw)
        }
        self._size = min(size, len(chosen))

    def metrics(self, network: Network, last: bool, objective: MetricName = "fid") -> dict[str, Tensor]:
        """Return the health and, of each of `HELD_OUT_METRICS` at its rungs, the value, by name; each [K]."""
        measured = {name: of for name, of in HELD_OUT_METRICS.items() if METRICS[name].is_measured(last, objective)}
        return self.health(network) | {name: of(self, network) for name, of in measured.items()}

    def health(self, network: Network) -> dict[str, Tensor]:
        """Return the health of the representation at every tap on the first probe images, each [K].

        'feature_norm.block_<i>', 'effective_rank.block_<i>', 'pairwise_distance.block_<i>' (in the units of tau),
        'uniformity.block_<i>', and 'alignment.block_<i>' of two noises of an image at one time.
        """
        images, labels, draws = self._first(self._size)
        seen = [
            self._objective.seen(*_by_lanes(network.lanes, images, labels, noised))
            for noised in (draws, draws | self._other_noise(len(images)))
        ]
        health = {}
        # In step, so that one tap at a time need be held of each.
        walks = (network.walk(x, condition) for x, condition in seen)
        for tap, (z_KBND, other_KBND) in enumerate(zip(*walks, strict=True)):
            z_KBE = z_KBND.flatten(2)
            health[f"feature_norm.block_{tap}"] = feature_norm(z_KBE)
            health[f"effective_rank.block_{tap}"] = effective_rank(z_KBE)
            health[f"pairwise_distance.block_{tap}"] = median_distance(z_KBE)
            health[f"uniformity.block_{tap}"] = uniformity(z_KBE)
            health[f"alignment.block_{tap}"] = alignment(z_KBE, other_KBND.flatten(2))
        return health

    def batch(self, lanes: int, count: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return images [K, B, C, H, W], labels [K, B] and draws of `count` of them, the same for every lane."""
        return _by_lanes(lanes, *self._first(count))

    def _first(self, count: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        chunks = list(self._chunks(count))
        images, labels = (torch.cat(part) for part in zip(*((chunk[0], chunk[1]) for chunk in chunks), strict=True))
        return images, labels, {name: torch.cat([chunk[2][name] for chunk in chunks]) for name in self._objective.draws}

    def _other_noise(self, count: int) -> dict[str, Tensor]:
        """Return a second draw of all that is random in each pixel, for the first images."""
        noise = {name: draw for name, draw in self._objective.draws.items() if draw.each == "pixel"}
        random = generator(0, Stream.VALIDATION, OTHER_NOISE)
        drawn = from_generator(noise, random, count, tuple(self.images.shape[1:]), CPU)
        return {name: part.to(self.images.device) for name, part in drawn.items()}

    def validation_loss(self, network: Network) -> Tensor:
        """Return the mean error over held-out images and draws, [K]."""
        total = torch.zeros(network.lanes, device=self.images.device)
        for chunk in self._chunks(self._count):
            total += self._objective.held_out(network, *_by_lanes(network.lanes, *chunk)).sum(1)
        return total / self._count

    def _chunks(self, count: int) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
        """Yield images, labels and draws of the first `count`, a chunk at a time, cycling through the images."""
        device, image = self.images.device, tuple(self.images.shape[1:])
        others = {name: draw for name, draw in self._objective.draws.items() if name not in self._stratified}
        for chunk, start in enumerate(range(0, count, CHUNK)):
            numbers = torch.arange(start, min(start + CHUNK, count), device=device)
            rows = numbers % len(self.images)
            # Always of a whole chunk, on the CPU: torch draws other numbers for another shape.
            drawn = from_generator(others, generator(0, Stream.VALIDATION, chunk + 1), CHUNK, image, CPU)
            draws = {name: part[: len(numbers)].to(device) for name, part in drawn.items()}
            stratified = {name: part[numbers] for name, part in self._stratified.items()}
            yield self.images[rows], self.labels[rows], draws | stratified


HELD_OUT_METRICS: Mapping[MetricName, Callable[[HeldOut, Network], Tensor]] = {"val_loss": HeldOut.validation_loss}


def _is_stratified(draw: Draw) -> bool:
    return draw == Draw("uniform", "sample")


def _by_lanes(
    lanes: int, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Expand images, labels and draws over lanes."""
    seen = {name: part.expand(lanes, *part.shape) for name, part in draws.items()}
    return images.expand(lanes, *images.shape), labels.expand(lanes, *labels.shape), seen
