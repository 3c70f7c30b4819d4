"""A network with a planted defect that Dispersive Loss cures: a positive control for sweeper itself.

Between encoder and decoder every feature smaller than `silent` is set to 0 and passes no gradient, as in a network of
dead units. Features are small at first, so the decoder sees little of the image, and hardly anything tells the encoder
to change that. Whatever pushes the encoder's outputs apart brings them out of the dead zone.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class DeadZone(nn.Module):
    """Encoder, dead zone and decoder, conditioned on time and label."""

    def __init__(self, channels: int, classes: int, width: int, silent: float) -> None:
        super().__init__()
        self.silent = silent
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)  # the last one means: no label
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.encoder, self.decoder = Block(width), Block(width)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Return the velocity [B, C, H, W] of images x at times [B] in [0, 1] for labels [B]."""
        given = self.time(time[:, None]) + self.label(label)
        hidden = self.encoder(self.first(x), given)
        alive = functional.hardshrink(hidden, self.silent)
        return self.last(functional.silu(self.decoder(alive, given)))


class Block(nn.Module):
    """A residual convolution; its output [B, width, H, W] is a tap."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.shift = nn.Linear(width, width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return x and what the block adds."""
        shifted = self.norm(x) + self.shift(given)[:, :, None, None]
        return x + self.convolution(functional.silu(shifted))


def dead_zone(shape: tuple[int, int, int], classes: int, width: int = 24, silent: float = 4.0) -> nn.Module:
    """Return the network for images of `shape` (C, H, W); `silent` 0 is the same network without the defect."""
    return DeadZone(shape[0], classes, width, silent)
