"""The state of lanes between two steps, one row each: weights, optimiser, EMA, and the regulariser's buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.protocol import Backbone
from trainer.regularisers.protocol import Regulariser
from trainer.rng.streams import Stream, generator

BUFFER = "buffer."  # before a buffer's name in a checkpoint


class LaneState(NamedTuple):
    """Weights and AdamW's two moments, [K, P + R]: the backbone's P and, behind them, the regulariser's R.

    `ema`, [K, P], is the average of the backbone's weights alone; samples, kept files and figures come from it.
    `buffers` are the regulariser's, by name, [K, ...].
    """

    weights: Tensor
    ema: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    buffers: Mapping[str, Tensor]

    def select(self, rows: Tensor) -> LaneState:
        """Return a copy of some lanes."""
        return LaneState.of({name: part.index_select(0, rows) for name, part in self.named().items()})

    def named(self) -> dict[str, Tensor]:
        """Return everything by the names of a checkpoint."""
        learnt = {"weights": self.weights, "ema": self.ema, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}
        return learnt | {f"{BUFFER}{name}": part for name, part in self.buffers.items()}

    @classmethod
    def of(cls, named: Mapping[str, Tensor]) -> LaneState:
        """Return the state whose `named` gave this; other names are ignored."""
        buffers = {name.removeprefix(BUFFER): part for name, part in named.items() if name.startswith(BUFFER)}
        return cls(named["weights"], named["ema"], named["exp_avg"], named["exp_avg_sq"], buffers)

    def copied(self, device: torch.device) -> LaneState:
        """Return a copy on `device`."""
        return LaneState.of({name: part.to(device, copy=True) for name, part in self.named().items()})


def initial_lanes(
    backbone: Backbone,
    regulariser: Regulariser,
    seeds: Sequence[int],
    device: torch.device,
    begun: Tensor | None = None,
) -> LaneState:
    """Return untrained lanes of these seeds; their backbones start from `begun` [P], if given."""
    backbones, own = {}, {}
    for seed in set(seeds):
        backbones[seed] = backbone.initial_weights(generator(seed, Stream.INIT)) if begun is None else begun
        own[seed] = regulariser.initial_state(generator(seed, Stream.REGULARISER))
    average = torch.stack([backbones[seed] for seed in seeds]).to(device)
    behind = [
        torch.stack([own[seed].weights[name].flatten() for seed in seeds]).to(device) for name in regulariser.layout
    ]
    buffers = {
        name: torch.stack([own[seed].buffers[name] for seed in seeds]).to(device) for name in own[seeds[0]].buffers
    }
    weights = torch.cat([average, *behind], 1)
    return LaneState(weights, average, torch.zeros_like(weights), torch.zeros_like(weights), buffers)
