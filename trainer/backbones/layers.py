"""What backbones of K lanes are made of: products, normalisation, modulation, and the embedding of time and label."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones.protocol import Slot

FREQUENCIES = 256  # of the timestep embedding, as in DiT


def embedding(width: int, classes: int) -> dict[str, Slot]:
    """Return the slots of the embedding of time and label; a product uses none of the labels'."""
    return {
        **linear("time1", FREQUENCIES, width),
        **linear("time2", width, width),
        "labels": Slot((classes + 1, width), is_factor=False),
    }


def frequencies(device: torch.device) -> Tensor:
    """Return the angular frequencies of the timestep embedding, as in DiT."""
    exponent = torch.arange(FREQUENCIES // 2) / (FREQUENCIES // 2)
    return torch.exp(-math.log(10_000) * exponent).to(device)


def embed(weights: Mapping[str, Tensor], time_KB: Tensor, label_KB: Tensor, frequencies: Tensor) -> Tensor:
    """Return the sum of both embeddings, [K, B, D]; `time_KB` is in the units of the frequencies."""
    angles = time_KB[..., None] * frequencies
    waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
    time_KBD = product(weights, "time2", F.silu(product(weights, "time1", waves)))
    labels = weights["labels"]
    return time_KBD + labels.gather(1, label_KB[..., None].expand(-1, -1, labels.shape[-1]))


def initial(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return a slot's initial weight: embeddings normal with deviation 0.02, factors Xavier-uniform, biases 0.

    Of a convolution's weight [outputs, inputs, side, side] the fans are those of all its taps.
    """
    weight = torch.zeros(shape)
    if name in ("labels", "time1.weight", "time2.weight"):
        return weight.normal_(0, 0.02, generator=generator)
    if name.endswith("weight"):
        bound = math.sqrt(6 / (math.prod(shape[2:]) * (shape[0] + shape[1])))
        return weight.uniform_(-bound, bound, generator=generator)
    return weight


def linear(name: str, inputs: int, outputs: int) -> dict[str, Slot]:
    """Return the slots of a linear layer."""
    return {f"{name}.weight": Slot((inputs, outputs)), f"{name}.bias": Slot((outputs,))}


def product(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Apply a linear layer to x [K, ..., inputs], one batched product over lanes."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    flat = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, -2), weight)
    return flat.view(*x.shape[:-1], weight.shape[-1])


def normalise(x: Tensor) -> Tensor:
    """Layer norm over the last axis, without weights."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return shift + x (1 + scale)."""
    return torch.addcmul(shift, x, 1 + scale)
