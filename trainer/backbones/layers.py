"""Layers for backbones of K lanes: linear and convolutional ones, patches, norms, and the embedding of time and label.

Shapes: K lanes, B batch, C channels, H height, W width, N tokens, D width
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.forward_ad import make_dual, unpack_dual

from trainer.backbones.protocol import NOBODY, Conditioning, Slot

FREQUENCIES = 256  # of the timestep embedding, as in DiT
EMBEDDED = frozenset({"labels"} | {f"{part}{layer}.weight" for part in ("time", "interval") for layer in (1, 2)})


def embedding(width: int, classes: int, has_interval: bool = False) -> dict[str, Slot]:
    """Return the slots of the embedding of time, label and interval; a product uses none of the labels'."""
    parts = ("time", "interval") if has_interval else ("time",)
    slots: dict[str, Slot] = {}
    for part in parts:
        slots |= linear(f"{part}1", FREQUENCIES, width) | linear(f"{part}2", width, width)
    return slots | {"labels": Slot((classes + 1, width), is_factor=False)}


def frequencies(device: torch.device) -> Tensor:
    """Return the angular frequencies of the timestep embedding, as in DiT."""
    exponent = torch.arange(FREQUENCIES // 2) / (FREQUENCIES // 2)
    return torch.exp(-math.log(10_000) * exponent).to(device)


def embed(weights: Mapping[str, Tensor], condition: Conditioning, time_scale: float, frequencies: Tensor) -> Tensor:
    """Return the sum of the embeddings, [K, B, D]: of time and label and, where there is one, the interval."""
    first, *others = embeddings(weights, condition, time_scale, frequencies)
    for other in others:
        first = first + other
    return first


def embeddings(
    weights: Mapping[str, Tensor], condition: Conditioning, time_scale: float, frequencies: Tensor
) -> Iterator[Tensor]:
    """Yield the embeddings, each [K, B, D]: of time, of the interval where there is one, and of the label."""
    yield _embed_time(weights, "time", condition.time * time_scale, frequencies)
    if condition.until is not None:
        yield _embed_time(weights, "interval", (condition.time - condition.until) * time_scale, frequencies)
    labels = weights["labels"]
    yield labels.gather(1, condition.label[..., None].expand(-1, -1, labels.shape[-1]))


def _embed_time(weights: Mapping[str, Tensor], name: str, time_KB: Tensor, frequencies: Tensor) -> Tensor:
    angles = time_KB[..., None] * frequencies
    waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return product(weights, f"{name}2", F.silu(product(weights, f"{name}1", waves)))


def initial(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return a slot's initial weight: embeddings normal with deviation 0.02, factors Xavier-uniform, biases 0.

    Of a convolution's weight [outputs, inputs, side, side] the fans are those of all its taps.
    """
    weight = torch.zeros(shape)
    if name in EMBEDDED:
        return weight.normal_(0, 0.02, generator=generator)
    if name.endswith("weight"):
        bound = math.sqrt(6 / (math.prod(shape[2:]) * (shape[0] + shape[1])))
        return weight.uniform_(-bound, bound, generator=generator)
    return weight


def linear(name: str, inputs: int, outputs: int, owners: tuple[int, ...] = (NOBODY,)) -> dict[str, Slot]:
    """Return the slots of a linear layer; `owners` are those of equal parts of its outputs."""
    weight, bias = Slot((inputs, outputs), owners=owners), Slot((outputs,), owners=owners)
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def product(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Apply a linear layer to x [K, ..., inputs], one batched product over lanes."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if not torch.compiler.is_compiling():  # compiled code, which only draws samples, has no derivatives
        value, slope = _dual(x)
        if slope is not None and _dual(weight)[1] is None and _dual(bias)[1] is None:
            # By itself baddbmm (torch 2.13) would also multiply by the weight's tangent, which is all zeros.
            ahead: Tensor = make_dual(_affine(value, weight, bias), _multiplied(slope, weight))  # type: ignore[no-untyped-call]
            return ahead
    return _affine(x, weight, bias)


def _dual(x: Tensor) -> tuple[Tensor, Tensor | None]:
    value, slope = unpack_dual(x)  # type: ignore[no-untyped-call]
    return value, slope


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    flat = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, -2).to(weight.dtype), weight)
    return flat.view(*x.shape[:-1], weight.shape[-1])


def _multiplied(x: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(x.flatten(1, -2), weight).view(*x.shape[:-1], weight.shape[-1])


def convolution(name: str, inputs: int, outputs: int, side: int = 3, owner: int = NOBODY) -> dict[str, Slot]:
    """Return the slots of a convolution that keeps an image's size; `side` is odd."""
    weight = Slot((outputs, inputs, side, side), owners=(owner,))
    return {f"{name}.weight": weight, f"{name}.bias": Slot((outputs,), owners=(owner,))}


def convolve(weights: Mapping[str, Tensor], name: str, x_KBCHW: Tensor) -> Tensor:
    """Apply a convolution to feature maps."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    lanes, outputs = weight.shape[:2]
    # Lanes side by side as groups of channels: one call, and plain convolution for one lane.
    together = x_KBCHW.transpose(0, 1).flatten(1, 2)
    out = F.conv2d(together, weight.flatten(0, 1), bias.flatten(), padding=weight.shape[-1] // 2, groups=lanes)
    return out.view(len(out), lanes, outputs, *out.shape[2:]).transpose(0, 1)


def patch_grid(shape: tuple[int, int, int], side: int) -> tuple[int, int]:
    """Return the rows and columns of patches of an image (C, H, W); raise ValueError if they do not fill it."""
    _, height, width = shape
    if height % side or width % side:
        raise ValueError(f"patch {side} does not divide images of {height}x{width}")
    return height // side, width // side


def patchify(x_KBCHW: Tensor, side: int) -> Tensor:
    """Return an image's patches, row by row, [K, B, N, C side side]."""
    lanes, batch, channels, height, width = x_KBCHW.shape
    x = x_KBCHW.reshape(lanes, batch, channels, height // side, side, width // side, side)
    return x.permute(0, 1, 3, 5, 2, 4, 6).reshape(lanes, batch, (height // side) * (width // side), -1)


def unpatchify(x_KBND: Tensor, side: int, shape: tuple[int, int, int]) -> Tensor:
    """Return images of `shape` (C, H, W) from their patches, the numbers of each being [C, side, side]."""
    lanes, batch = x_KBND.shape[:2]
    channels, height, width = shape
    x = x_KBND.reshape(lanes, batch, height // side, width // side, channels, side, side)
    return x.permute(0, 1, 4, 2, 5, 3, 6).reshape(lanes, batch, *shape)


def normalise(x: Tensor) -> Tensor:
    """Layer norm over the last axis, without weights."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return shift + x (1 + scale)."""
    return torch.addcmul(shift, x, 1 + scale)
