"""Images as they are held: pixels in one byte each, turned into numbers where they are used."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor


class Images:
    """N images; an index or a slice gives those float32 [..., C, H, W], pixels in [-1, 1].

    A byte a pixel is held instead of four, in every process of a study.
    """

    def __init__(self, held_NCHW: Tensor, white: float | None) -> None:
        """`white` is the value of a white pixel (black is 0); without one the images are as they are to be used."""
        self._held, self._white = held_NCHW, white

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, rows: int | slice | Tensor) -> Tensor:
        return self._numbers(self._held[rows])

    def take(self, rows_B: Tensor) -> Tensor:
        """Return the images of these rows, without the host's waiting for the device."""
        return self._numbers(self._held.index_select(0, rows_B))

    def split(self, size: int) -> list[Self]:
        """Return them in parts of so many images."""
        return [type(self)(part, self._white) for part in torch.split(self._held, size)]

    def to(self, device: torch.device | str) -> Self:
        """Hold them there."""
        return type(self)(self._held.to(device), self._white)

    @property
    def shape(self) -> torch.Size:
        """N, C, H, W."""
        return self._held.shape

    @property
    def device(self) -> torch.device:
        """Where they are held."""
        return self._held.device

    def _numbers(self, held: Tensor) -> Tensor:
        return held if self._white is None else held.float().mul(2 / self._white).sub_(1)
