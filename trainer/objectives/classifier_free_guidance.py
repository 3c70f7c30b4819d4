"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598), on all channels or some, on all the way or part."""

from __future__ import annotations

from typing import Protocol, assert_never

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network
from trainer.recipe import EvalRecipe
from trainer.recipe.evaluation import GUIDED_BY_PUBLIC_CODE


class Predict(Protocol):
    """A network's prediction with labels and guidance."""

    def __call__(self, x: Tensor, t: float, progress: float | None = None, until: float | None = None) -> Tensor:
        """Return the prediction at x [K, B, C, H, W] and the objective's time t.

        `progress` is how far the way from noise (0) to data (1) is gone, t where none is given; `until` is for
        objectives whose predictions are of an interval.
        """


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return unconditional + scale (conditional - unconditional)."""
    return torch.lerp(unconditional, conditional, scale)


def guided(network: Network, labels: Tensor, evaluation: EvalRecipe) -> Predict:
    """Return a network's prediction with guidance towards labels [K, B].

    Scale 1 is none; any other scale also evaluates the network without labels, on the part of the way where guidance
    acts. A variance that a network predicts beside an image's channels is never guided.
    """
    nothing = torch.full_like(labels, network.backbone.classes)
    scale, (first, last) = evaluation.cfg, evaluation.cfg_interval

    def predict(x: Tensor, t: float, progress: float | None = None, until: float | None = None) -> Tensor:
        def at(labels: Tensor) -> Conditioning:
            times = torch.full(labels.shape, t, device=x.device)
            return Conditioning(times, labels, None if until is None else torch.full_like(times, until))

        here = t if progress is None else progress
        if scale == 1 or not first <= here <= last:
            return network(x, at(labels)).prediction
        both = network(torch.cat([x, x], 1), at(torch.cat([labels, nothing], 1))).prediction
        conditional, unconditional = both.chunk(2, dim=1)
        guided = _guided_channels(evaluation, x.shape[2])
        if guided == conditional.shape[2]:
            return guide(conditional, unconditional, scale)
        some = guide(conditional[:, :, :guided], unconditional[:, :, :guided], scale)
        return torch.cat([some, conditional[:, :, guided:]], 2)

    return predict


def _guided_channels(evaluation: EvalRecipe, channels: int) -> int:
    match evaluation.cfg_channels:
        case "all":
            return channels
        case "public":
            return min(GUIDED_BY_PUBLIC_CODE, channels)
        case _:
            assert_never(evaluation.cfg_channels)
