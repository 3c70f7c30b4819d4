"""How a cohort takes its steps: on a CPU one call after the other, on a GPU by replaying one graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from trainer.recipe import TrainRecipe
from trainer.rng.draws import Wanted
from trainer.runtime.cuda_graph import Captured
from trainer.training.batches import TrainingSplit, draw
from trainer.training.ema import ema_decay
from trainer.training.lr_schedule import learning_rate
from trainer.training.prefetch import Prefetch
from trainer.training.train_step import Inputs, TrainStep


class Stepper(Protocol):
    """Takes optimiser steps in order, from any first one."""

    def __call__(self, step: int) -> None:
        """Take step `step` (0-based)."""


def stepper(
    take_step: TrainStep, wanted: Wanted, split: TrainingSplit, train: TrainRecipe, seeds: Sequence[int]
) -> Stepper:
    """Return the stepper for the split's device; `wanted` declares a batch's random draws, `seeds` are the lanes'."""
    made = GraphStepper if split.images.device.type == "cuda" else EagerStepper
    return made(take_step, wanted, split, train, seeds)


class EagerStepper:
    """Draws each step's batch when it is due, with torch's generators."""

    def __init__(
        self, take_step: TrainStep, wanted: Wanted, split: TrainingSplit, train: TrainRecipe, seeds: Sequence[int]
    ) -> None:
        self._take_step, self._wanted, self._split, self._train = take_step, wanted, split, train
        self._seeds = sorted(set(seeds))
        self._rows = torch.tensor([self._seeds.index(seed) for seed in seeds], device=split.images.device)

    def __call__(self, step: int) -> None:
        """Take step `step`."""
        split, train = self._split, self._train
        batch = draw(self._wanted, split, self._seeds, step, train.batch, train.label_drop)
        rate, share = learning_rate(train, step), 1 - ema_decay(step + 1, train.ema)
        # A tensor on a CPU too: a compiled regulariser would be compiled anew for every number.
        progress = torch.tensor(step / train.steps, device=split.images.device)
        self._take_step(Inputs(batch.for_lanes(self._rows), rate, share, progress))


class GraphStepper:
    """Takes each step's inputs from buffers on the device; the whole step is one graph where that is possible.

    On a CPU, where no graph is made, it trains on the same inputs as a GPU.
    """

    def __init__(
        self, take_step: TrainStep, wanted: Wanted, split: TrainingSplit, train: TrainRecipe, seeds: Sequence[int]
    ) -> None:
        prefetch = Prefetch(wanted, split, train, seeds)
        # Not through self: a reference cycle would keep the graph's memory until garbage collection.
        self._captured = Captured(lambda: take_step(prefetch.take()), split.images.device)
        self._prefetch = prefetch
        self._next, self._end = -1, -1

    def __call__(self, step: int) -> None:
        """Take step `step`."""
        # The buffers serve consecutive steps alone. A cohort's first step, or its first after a checkpoint was loaded,
        # does not follow the last one taken: the buffers hold other steps, or none.
        if step != self._next or step == self._end:
            self._prefetch.fill(step)
            self._end = step + self._prefetch.steps
        self._captured()
        self._next = step + 1
