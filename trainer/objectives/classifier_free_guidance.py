"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainer.backbones.protocol import Conditioning, Network


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return unconditional + scale (conditional - unconditional)."""
    return torch.lerp(unconditional, conditional, scale)


def guided(network: Network, labels: Tensor, scale: float) -> Callable[[Tensor, float], Tensor]:
    """Return a network's prediction at x [K, B, C, H, W] and a time, with guidance towards labels [K, B].

    Scale 1 is none; any other evaluates the network without labels as well.
    """
    nothing = torch.full_like(labels, network.backbone.classes)

    def predict(x: Tensor, t: float) -> Tensor:
        times = torch.full(labels.shape, t, device=x.device)
        if scale == 1:
            return network(x, Conditioning(times, labels)).prediction
        both = Conditioning(torch.cat([times, times], 1), torch.cat([labels, nothing], 1))
        conditional, unconditional = network(torch.cat([x, x], 1), both).prediction.chunk(2, dim=1)
        return guide(conditional, unconditional, scale)

    return predict
