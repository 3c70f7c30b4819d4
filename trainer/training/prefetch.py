"""The inputs of the next steps, drawn together on the device, from where a step takes its own without the host.

Shapes: T steps of a stretch, S seeds, K lanes, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.data.images import Images
from trainer.recipe import TrainRecipe
from trainer.rng import counters
from trainer.rng.streams import Stream, key
from trainer.training.batches import Batch, order
from trainer.training.ema import ema_decay
from trainer.training.lr_schedule import learning_rate
from trainer.training.train_step import Inputs

STEPS = 32  # of a stretch: more would only save launches that are few already
NUMBERS = 2**22  # of noise in a stretch, at most, so that it takes megabytes and not gigabytes


class Stretch:
    """Buffers that hold T steps' inputs at a time. `fill` is called by the host every T steps, `take` every step.

    `take` is device work alone, on tensors that stay where they are, so it can be part of a CUDA graph: which step it
    is at lies on the device as well. Lanes of one seed share noise, times, labels and order.
    """

    def __init__(
        self, images_NCHW: Images, labels_N: Tensor, classes: int, train: TrainRecipe, seeds_K: Sequence[int]
    ) -> None:
        self._images, self._labels, self._classes, self._train = images_NCHW, labels_N, classes, train
        self._seeds = sorted(set(seeds_K))
        device, batch, shape = images_NCHW.device, train.batch, images_NCHW.shape[1:]
        self._pixels = batch * shape.numel()
        self.steps = max(1, min(STEPS, NUMBERS // (len(self._seeds) * self._pixels)))
        rows = self.steps * len(self._seeds)
        self._noise = torch.empty(rows, batch, *shape, device=device)
        self._times = torch.empty(rows, batch, device=device)
        self._classes_given = torch.empty(rows, batch, dtype=torch.long, device=device)
        self._order = torch.empty(rows, batch, dtype=torch.long, device=device)
        self._keys = torch.empty(rows, dtype=torch.long, device=device)
        # AdamW's fused kernel on CUDA reads its rate as float32, whatever the weights are.
        self._lr = torch.empty(self.steps, dtype=torch.float32, device=device)
        self._share = torch.empty(self.steps, device=device)
        self._seed_of_K = torch.tensor([self._seeds.index(seed) for seed in seeds_K], device=device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)

    def fill(self, first: int) -> None:
        """Draw the inputs of steps `first` .. `first` + T - 1 (0-based); the host does not wait for it."""
        train, steps = self._train, range(first, first + self.steps)
        pairs = [(seed, step) for step in steps for seed in self._seeds]
        _send(self._keys, torch.tensor([key(seed, Stream.BATCH, step) for seed, step in pairs]))
        chosen = [order(seed, step * train.batch, train.batch, len(self._images)) for seed, step in pairs]
        _send(self._order, torch.stack(chosen))
        _send(self._lr, torch.tensor([learning_rate(train, step) for step in steps], dtype=torch.float32))
        _send(self._share, torch.tensor([1 - ema_decay(step + 1, train.ema) for step in steps]))
        # Noise, times and dropped labels are different stretches of one stream's numbers.
        self._noise.view(len(pairs), -1).copy_(counters.normal(self._keys, 0, self._pixels))
        self._times.copy_(counters.uniform(self._keys, self._pixels, train.batch))
        dropped = counters.uniform(self._keys, self._pixels + train.batch, train.batch) < train.label_drop
        self._classes_given.copy_(self._labels[self._order].masked_fill_(dropped, self._classes))
        self._place.zero_()

    def take(self) -> Inputs:
        """Return the next step's inputs and go on to the one after it."""
        rows_K = self._place * len(self._seeds) + self._seed_of_K
        noise, times, labels, chosen = (
            part.index_select(0, rows_K) for part in (self._noise, self._times, self._classes_given, self._order)
        )
        images = self._images.take(chosen.flatten()).view_as(noise)
        lr, share = (part.index_select(0, self._place).squeeze(0) for part in (self._lr, self._share))
        self._place += 1
        return Inputs(Batch(images, noise, times, labels), lr, share)


def _send(buffer: Tensor, values: Tensor) -> None:
    # From pinned memory, for which the host need not wait; torch keeps it until the copy is done.
    pinned = values.pin_memory() if buffer.device.type == "cuda" else values
    buffer.copy_(pinned, non_blocking=True)
