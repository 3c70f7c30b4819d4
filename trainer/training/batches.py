"""A training batch as a pure function of (seed, step): order, noise, times and dropped labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data.images import Images
from trainer.rng.streams import Stream, generator


class Batch(NamedTuple):
    """One step's input for S seeds: images and noise [S, B, C, H, W], times [S, B], labels [S, B]."""

    images: Tensor
    noise: Tensor
    times: Tensor
    labels: Tensor

    def for_lanes(self, rows_K: Tensor) -> Batch:
        """Return the batch each lane trains on; lanes of one seed share theirs."""
        return Batch(*(part.index_select(0, rows_K) for part in self))


def draw(
    images_NCHW: Images, labels_N: Tensor, classes: int, seeds: Sequence[int], step: int, batch: int, label_drop: float
) -> Batch:
    """Return the batch of every seed at `step` (0-based), on the images' device."""
    parts = [_draw_one(images_NCHW, labels_N, classes, seed, step, batch, label_drop) for seed in seeds]
    return Batch(*(torch.stack(part) for part in zip(*parts, strict=True)))


def _draw_one(
    images_NCHW: Images, labels_N: Tensor, classes: int, seed: int, step: int, batch: int, label_drop: float
) -> Batch:
    device = images_NCHW.device
    rows = order(seed, step * batch, batch, len(images_NCHW)).to(device, non_blocking=True)
    random = generator(seed, Stream.BATCH, step, device)
    images = images_NCHW[rows]
    noise = torch.randn(images.shape, generator=random, device=device)
    times = torch.rand(batch, generator=random, device=device)
    dropped = torch.rand(batch, generator=random, device=device) < label_drop
    return Batch(images, noise, times, labels_N[rows].masked_fill(dropped, classes))


def order(seed: int, start: int, count: int, size: int) -> Tensor:
    """Return positions start .. start + count of the endless data order: one permutation of `size` an epoch."""
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
