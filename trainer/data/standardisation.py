"""Standardisation of latents for training: scaled as the study says, or to deviation 1 by channel."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from trainer.data.parts import row_parts

LEAST_SPREAD = 1e-6  # of a channel that is constant


class Standardisation(NamedTuple):
    """(latents - shift) / spread, both [C, 1, 1] in float64."""

    shift: Tensor
    spread: Tensor

    @classmethod
    def given(cls, channels: int, scale: float | None, shift: float | None) -> Self:
        """Return (latents - shift) scale, as the coders of latent diffusion have it."""
        whole = torch.ones(channels, 1, 1, dtype=torch.float64)
        return cls(whole * (0.0 if shift is None else shift), whole / (1.0 if scale is None else scale))

    @classmethod
    def by_channel(cls, latents_NCHW: Tensor) -> Self:
        """Return the standardisation to mean 0 and deviation 1 in every channel."""
        std, mean = torch.std_mean(latents_NCHW.float().double(), dim=(0, 2, 3))
        return cls._of(mean, std)

    @classmethod
    def by_channel_in_parts(cls, latents_NCHW: Tensor, rows: Tensor) -> Self:
        """Return the same of some rows, a part at a time; it differs from the whole's by rounding in float64.

        Parts' moments are merged as by Chan et al. 1979.
        """
        count, mean, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for part in row_parts((len(rows), *latents_NCHW.shape[1:])):
            images = latents_NCHW[rows[part]].float().double()
            variance, own = torch.var_mean(images, dim=(0, 2, 3), correction=0)
            more = images.numel() // images.shape[1]
            apart, whole = own - mean, count + more
            squares = squares + variance * more + apart.square() * (count * more / whole)
            mean, count = mean + apart * (more / whole), whole
        return cls._of(mean, (squares / (count - 1)).sqrt())

    @classmethod
    def _of(cls, mean: Tensor, std: Tensor) -> Self:
        return cls(mean[:, None, None], std.clamp_min(LEAST_SPREAD)[:, None, None])

    def __call__(self, latents: Tensor) -> Tensor:
        """Return standardised latents [..., C, H, W] in float32."""
        return (
            (latents.float() - self.shift).div_(self.spread).float()
        )  # in place: the float64 difference is the largest

    def undone(self, images: Tensor) -> Tensor:
        """Return the latents before standardisation, in float32."""
        return (images * self.spread.to(images.device) + self.shift.to(images.device)).float()
