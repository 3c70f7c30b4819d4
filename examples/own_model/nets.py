"""A network of one's own, as a study takes it: a function that returns a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNet(nn.Module):
    """A few residual convolutions, conditioned on time and label. It has no dropout and no running statistics."""

    def __init__(self, channels: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)  # the last one means: no label
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Return the velocity [B, C, H, W] of images x at times [B] in [0, 1] for labels [B]."""
        hidden = self.first(x)
        given = self.time(time[:, None]) + self.label(label)
        for block in self.blocks:
            hidden = block(hidden, given)
        return self.last(functional.silu(hidden))


class Block(nn.Module):
    """A residual convolution; its output [B, width, H, W] can be a tap."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.shift = nn.Linear(width, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return x and what the block adds."""
        shifted = self.norm(x) + self.shift(given)[:, :, None, None]
        return x + self.convolution(functional.silu(shifted))


def conv_net(shape: tuple[int, int, int], classes: int, width: int = 32, depth: int = 3) -> torch.nn.Module:
    """Return the network for images of `shape` (C, H, W); width and depth come from the study's `arguments`."""
    return ConvNet(shape[0], classes, width, depth)
