"""The noise that a stochastic sampler adds step by step, as a function of (seed, chunk, step) alone.

Drawn by counters on every kind of device: a sampler of many steps holds one step's at a time, and a GPU can replay it.

Shapes: K lanes, B samples of a whole chunk, b of them that are drawn
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from trainer.rng import counters
from trainer.rng.streams import Stream, key


class StepNoise:
    """Normal numbers for the samples at `places_b` of a chunk of `batch`; lanes of one seed have the same."""

    def __init__(self, keys_K: Tensor, batch: int, places_b: Tensor) -> None:
        self._keys, self._batch, self._places = keys_K, batch, places_b

    def __call__(self, step: int, shape: Sequence[int]) -> Tensor:
        """Return the noise of a step (0-based), shaped as the lanes' samples, [K, b, C, H, W]."""
        lanes, _, *image = shape
        each = self._batch * prod(image)
        # A hash gives two numbers.
        drawn = counters.normal(self._keys, step * ((each + 1) // 2), each)
        return drawn.view(lanes, self._batch, *image).index_select(1, self._places)


def step_keys(seeds: Sequence[int], chunk: int, device: torch.device) -> Tensor:
    """Return the keys [K] of lanes' step noise in a chunk."""
    return torch.tensor([key(seed, Stream.SAMPLE_STEPS, chunk) for seed in seeds], device=device)
