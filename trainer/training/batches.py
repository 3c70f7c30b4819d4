"""A training batch as a pure function of (seed, step): order, noise, times and dropped labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Self

import torch
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.data.images import Images
from trainer.rng.draws import Draw, Wanted, from_generator
from trainer.rng.streams import Stream, generator
from trainer.training.second_view import is_of_second_view

LABEL_DROP, FLIP = "label_drop", "flip"


class TrainingSplit(NamedTuple):
    """The training images [N, C, H, W] and labels [N] on their device, with the number of classes.

    `flips` says that a random half of every batch's images is mirrored left to right.
    """

    images: Images
    labels: Tensor
    classes: int
    flips: bool = False

    @classmethod
    def of(cls, data: Dataset, device: torch.device, flips: bool = False) -> Self:
        """Return a data set's training split on `device`."""
        return cls(data.train_images.to(device), data.train_labels.to(device), data.classes, flips)

    def drawn_beside(self, wanted: Wanted) -> Wanted:
        """Return an objective's draws and, after them, those that decide which labels are dropped, images flipped.

        A second view's come last, so that the first view, labels and flips do not depend on it.
        """
        beside = (LABEL_DROP, FLIP) if self.flips else (LABEL_DROP,)
        first = {name: draw for name, draw in wanted.items() if not is_of_second_view(name)}
        return {**first, **{name: Draw("uniform", "sample") for name in beside}, **wanted}


class Batch(NamedTuple):
    """One step's input for S seeds: images [S, B, C, H, W], labels [S, B], and the objective's draws, each [S, B, ...].

    A label that was dropped is the number of classes, which means none.
    """

    images: Tensor
    labels: Tensor
    draws: dict[str, Tensor]

    def for_lanes(self, rows_K: Tensor) -> Batch:
        """Return the batch each lane trains on; lanes of one seed share theirs."""
        draws = {name: part.index_select(0, rows_K) for name, part in self.draws.items()}
        return Batch(self.images.index_select(0, rows_K), self.labels.index_select(0, rows_K), draws)


def flipped(images: Tensor, uniform: Tensor) -> Tensor:
    """Mirror the images [..., C, H, W] whose uniform number [...] is below a half."""
    return torch.where((uniform < 0.5)[..., None, None, None], images.flip(-1), images)


def draw(wanted: Wanted, split: TrainingSplit, seeds: Sequence[int], step: int, batch: int, label_drop: float) -> Batch:
    """Return the batch of every seed at `step` (0-based), on the images' device."""
    parts = [_draw_one(split.drawn_beside(wanted), split, seed, step, batch, label_drop) for seed in seeds]
    draws = {name: torch.stack([part.draws[name] for part in parts]) for name in wanted}
    return Batch(torch.stack([part.images for part in parts]), torch.stack([part.labels for part in parts]), draws)


def _draw_one(wanted: Wanted, split: TrainingSplit, seed: int, step: int, batch: int, label_drop: float) -> Batch:
    device = split.images.device
    rows = order(seed, step * batch, batch, len(split.images)).to(device, non_blocking=True)
    images = split.images[rows]
    draws = from_generator(wanted, generator(seed, Stream.BATCH, step, device), batch, images.shape[1:], device)
    labels = split.labels[rows].masked_fill(draws[LABEL_DROP] < label_drop, split.classes)
    return Batch(flipped(images, draws[FLIP]) if split.flips else images, labels, draws)


def order(seed: int, start: int, count: int, size: int) -> Tensor:
    """Return positions start .. start + count of the endless data order: one permutation of `size` per epoch."""
    parts = []
    while count:
        epoch, offset = divmod(start, size)
        part = _permutation(seed, epoch, size)[offset : offset + count]
        parts.append(part)
        start, count = start + len(part), count - len(part)
    return torch.cat(parts)


@lru_cache(maxsize=64)
def _permutation(seed: int, epoch: int, size: int) -> Tensor:
    return torch.randperm(size, generator=generator(seed, Stream.ORDER, epoch))
