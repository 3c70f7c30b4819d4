"""How a cohort gets from step to step: on a CPU one call after the other, on a GPU by replaying one graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from trainer.data.dataset import Dataset
from trainer.recipe import TrainRecipe
from trainer.runtime.cuda_graph import Captured
from trainer.training.batches import draw
from trainer.training.ema import ema_decay
from trainer.training.lr_schedule import learning_rate
from trainer.training.prefetch import Stretch
from trainer.training.train_step import Inputs, Update


class Stepping(Protocol):
    """Takes optimiser steps in order, from any first one."""

    def __call__(self, step: int) -> None:
        """Take step `step` (0-based)."""


class Trained:
    """A training split where it is trained on, with its number of classes."""

    def __init__(self, data: Dataset, device: torch.device) -> None:
        self.images, self.labels, self.classes = (
            data.train_images.to(device),
            data.train_labels.to(device),
            data.classes,
        )


def stepping(update: Update, split: Trained, train: TrainRecipe, seeds: Sequence[int]) -> Stepping:
    """Return what suits the split's device; `seeds` are the lanes'."""
    made = Replayed if split.images.device.type == "cuda" else OneByOne
    return made(update, split, train, seeds)


class OneByOne:
    """Draws each step's batch when it is due, with torch's generators."""

    def __init__(self, update: Update, split: Trained, train: TrainRecipe, seeds: Sequence[int]) -> None:
        self._update, self._split, self._train = update, split, train
        self._seeds = sorted(set(seeds))
        self._rows = torch.tensor([self._seeds.index(seed) for seed in seeds], device=split.images.device)

    def __call__(self, step: int) -> None:
        """Take step `step`."""
        split, train = self._split, self._train
        batch = draw(split.images, split.labels, split.classes, self._seeds, step, train.batch, train.label_drop)
        rate, share = learning_rate(train, step), 1 - ema_decay(step + 1, train.ema)
        self._update(Inputs(batch.for_lanes(self._rows), rate, share))


class Replayed:
    """Takes each step's inputs from a stretch on the device; the whole step is one graph where that is possible.

    On a CPU, where no graph is made, it trains on what a GPU would train on.
    """

    def __init__(self, update: Update, split: Trained, train: TrainRecipe, seeds: Sequence[int]) -> None:
        stretch = Stretch(split.images, split.labels, split.classes, train, seeds)
        # Not through self: in a cycle the graph's memory would wait for the garbage collector.
        self._captured = Captured(lambda: update(stretch.take()), split.images.device)
        self._stretch = stretch
        self._next, self._end = -1, -1

    def __call__(self, step: int) -> None:
        """Take step `step`."""
        if step != self._next or step == self._end:
            self._stretch.fill(step)
            self._end = step + self._stretch.steps
        self._captured()
        self._next = step + 1
