"""Images in memory: one byte per pixel, converted to floats where they are used."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from trainer.data.parts import row_parts
from trainer.data.standardisation import Standardisation


class Images:
    """N images; an index or a slice gives those float32 [..., C, H, W], pixels in [-1, 1].

    This takes one byte per pixel instead of four, in every process of a study. For images in a mapped file only the
    row indices are in memory.
    """

    def __init__(
        self,
        held_NCHW: Tensor,
        white: float | None,
        standardisation: Standardisation | None = None,
        rows: Tensor | None = None,
    ) -> None:
        """`white` is the value of a white pixel (black is 0); without one images are as they are, or latents.

        `standardisation` is applied to latents where they are used; `rows` are the images among those held.
        """
        self._held, self._white = held_NCHW, white
        self._standardisation, self._rows = standardisation, rows

    def __len__(self) -> int:
        return len(self._held if self._rows is None else self._rows)

    def __getitem__(self, rows: int | slice | Tensor) -> Tensor:
        return self._numbers(self._held[rows if self._rows is None else self._rows[rows]])

    def take(self, rows_B: Tensor) -> Tensor:
        """Return the images of these rows; the host does not wait for the device."""
        return self._numbers(self._held.index_select(0, rows_B if self._rows is None else self._rows[rows_B]))

    def split(self, size: int) -> list[Self]:
        """Return them in parts of so many images."""
        if self._rows is None:
            return [self._with(part) for part in torch.split(self._held, size)]
        return [self._with(self._held, rows) for rows in torch.split(self._rows, size)]

    def to(self, device: torch.device | str) -> Self:
        """Move the images to a device; on a CPU, images of a mapped file stay in it."""
        if self._rows is None:
            return self._with(self._held.to(device))
        return self if torch.device(device).type == "cpu" else self.copied_to(device)

    def copied_to(self, device: torch.device | str) -> Self:
        """Copy the images to a device, latents standardised, a part at a time."""
        dtype = torch.float32 if self._white is None else self._held.dtype
        whole = torch.empty(self.shape, dtype=dtype, device=device)
        rows = torch.arange(len(self)) if self._rows is None else self._rows
        for part in row_parts(self.shape):
            held = self._held[rows[part]]
            whole[part] = (self._numbers(held) if self._white is None else held).to(device)
        return type(self)(whole, self._white)

    @property
    def shape(self) -> torch.Size:
        """N, C, H, W."""
        return torch.Size((len(self), *self._held.shape[1:]))

    @property
    def device(self) -> torch.device:
        """The device that holds them."""
        return self._held.device

    def _with(self, held: Tensor, rows: Tensor | None = None) -> Self:
        return type(self)(held, self._white, self._standardisation, rows)

    def _numbers(self, held: Tensor) -> Tensor:
        if self._white is not None:
            return held.float().mul(2 / self._white).sub_(1)
        return held if self._standardisation is None else self._standardisation(held)
