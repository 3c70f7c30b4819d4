"""The inputs of the next steps, drawn together on the device; each step then takes its own without the host.

Shapes: T steps held at a time, S seeds, K lanes, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from trainer.recipe import TrainRecipe
from trainer.rng.draws import Wanted, from_counters
from trainer.rng.streams import Stream, key
from trainer.training.batches import FLIP, LABEL_DROP, Batch, TrainingSplit, flipped, order
from trainer.training.ema import ema_decay
from trainer.training.lr_schedule import learning_rate
from trainer.training.train_step import Inputs

STEPS = 32  # held at a time: the launches are few already, so more would save little
NUMBERS = 2**22  # random ones held at a time, at most, so that it takes megabytes and not gigabytes


class Prefetch:
    """Buffers that hold T steps' inputs at a time. `fill` is called by the host every T steps, `take` every step.

    `take` is device work alone, on tensors at fixed addresses, so it can be part of a CUDA graph: the step counter
    is on the device as well. Lanes of one seed share draws, labels and order.
    """

    def __init__(self, wanted: Wanted, split: TrainingSplit, train: TrainRecipe, seeds_K: Sequence[int]) -> None:
        """`wanted` is what is random in a batch."""
        self._wanted, self._split, self._train = split.drawn_beside(wanted), split, train
        kept = {**wanted, FLIP: self._wanted[FLIP]} if split.flips else wanted
        self._seeds = sorted(set(seeds_K))
        device, batch, self._image = split.images.device, train.batch, tuple(split.images.shape[1:])
        numbers = sum(prod(draw.shape(batch, self._image)) for draw in kept.values())
        self.steps = max(1, min(STEPS, NUMBERS // (len(self._seeds) * numbers)))
        rows = self.steps * len(self._seeds)
        self._draws = {
            name: torch.empty(rows, *draw.shape(batch, self._image), device=device) for name, draw in kept.items()
        }
        self._labels = torch.empty(rows, batch, dtype=torch.long, device=device)
        self._order = torch.empty(rows, batch, dtype=torch.long, device=device)
        self._keys = torch.empty(rows, dtype=torch.long, device=device)
        # AdamW's fused kernel on CUDA reads its rate as float32, whatever the weights are.
        self._lr = torch.empty(self.steps, dtype=torch.float32, device=device)
        self._share_and_progress = torch.empty(2, self.steps, device=device)
        self._seed_of_K = torch.tensor([self._seeds.index(seed) for seed in seeds_K], device=device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)

    def fill(self, first: int) -> None:
        """Draw the inputs of steps `first` .. `first` + T - 1 (0-based); the host does not wait for it."""
        train, split, steps = self._train, self._split, range(first, first + self.steps)
        pairs = [(seed, step) for step in steps for seed in self._seeds]
        _send(self._keys, torch.tensor([key(seed, Stream.BATCH, step) for seed, step in pairs]))
        chosen = [order(seed, step * train.batch, train.batch, len(split.images)) for seed, step in pairs]
        _send(self._order, torch.stack(chosen))
        _send(self._lr, torch.tensor([learning_rate(train, step) for step in steps], dtype=torch.float32))
        shares = [1 - ema_decay(step + 1, train.ema) for step in steps]
        _send(self._share_and_progress, torch.tensor([shares, [step / train.steps for step in steps]]))
        drawn = from_counters(self._wanted, self._keys, train.batch, self._image)
        for name, buffer in self._draws.items():
            buffer.copy_(drawn[name])
        dropped = drawn[LABEL_DROP] < train.label_drop
        self._labels.copy_(split.labels[self._order].masked_fill_(dropped, split.classes))
        self._place.zero_()

    def take(self) -> Inputs:
        """Return the next step's inputs and go on to the one after it."""
        rows_K = self._place * len(self._seeds) + self._seed_of_K
        draws = {name: buffer.index_select(0, rows_K) for name, buffer in self._draws.items()}
        labels, chosen = (part.index_select(0, rows_K) for part in (self._labels, self._order))
        images = self._split.images.take(chosen.flatten()).view(*chosen.shape, *self._image)
        if self._split.flips:
            images = flipped(images, draws[FLIP])
        lr = self._lr.index_select(0, self._place).squeeze(0)
        share, progress = self._share_and_progress.index_select(1, self._place).squeeze(1).unbind(0)
        self._place += 1
        return Inputs(Batch(images, labels, draws), lr, share, progress)


def _send(buffer: Tensor, values: Tensor) -> None:
    # From pinned memory, for which the host need not wait; torch keeps it until the copy is done.
    pinned = values.pin_memory() if buffer.device.type == "cuda" else values
    buffer.copy_(pinned, non_blocking=True)
