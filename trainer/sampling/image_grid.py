"""Sample grids as PNG images."""

from __future__ import annotations

import io

import torch
from torch import Tensor
from torch.nn import functional

from trainer.evaluation.extractors import quantise

TILE = 32  # least height of a tile in pixels
GAP = 2  # white pixels around every tile


def encode_png(images_NCHW: Tensor, columns: int) -> bytes:
    """Draw images row by row, `columns` wide, enlarged by whole factors to tiles of at least 32 pixels.

    Images with 1 or 3 channels are pixels in [-1, 1]; of latents the first three channels are shown, each
    stretched from its least to its greatest value. What is not finite is drawn black.
    """
    images = torch.nan_to_num(images_NCHW.detach().float().cpu(), nan=-1, posinf=1, neginf=-1)
    pixels = quantise(images if images.shape[1] in (1, 3) else _stretched(images[:, :3]))
    return _png(_sheet(_enlarged(pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels), columns))


def encode_image(image_CHW: Tensor) -> bytes:
    """Draw one image of pixels in [-1, 1], 1 or 3 channels, as it is. What is not finite is drawn black."""
    pixels = quantise(torch.nan_to_num(image_CHW.detach().float().cpu(), nan=-1, posinf=1, neginf=-1)[None])[0]
    return _png(pixels.expand(3, -1, -1))


def _png(pixels_3HW: Tensor) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels_3HW.permute(1, 2, 0).numpy()).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _stretched(latents: Tensor) -> Tensor:
    missing = 3 - latents.shape[1]
    latents = functional.pad(latents, (0, 0, 0, 0, 0, missing))
    low, high = latents.amin((0, 2, 3), keepdim=True), latents.amax((0, 2, 3), keepdim=True)
    return (latents - low) / (high - low).clamp_min(1e-12) * 2 - 1


def _enlarged(pixels: Tensor) -> Tensor:
    factor = max(1, -(-TILE // min(pixels.shape[2:])))
    return pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def _sheet(tiles_NCHW: Tensor, columns: int) -> Tensor:
    """Lay out tiles [N, 3, H, W] on a white sheet [3, rows * (H + gap) + gap, columns * (W + gap) + gap]."""
    count, channels, height, width = tiles_NCHW.shape
    height, width = height + GAP, width + GAP
    rows = -(-count // columns)
    sheet = torch.full((channels, rows * height + GAP, columns * width + GAP), 255, dtype=torch.uint8)
    for i, tile in enumerate(tiles_NCHW):
        top, left = GAP + i // columns * height, GAP + i % columns * width
        sheet[:, top : top + height - GAP, left : left + width - GAP] = tile
    return sheet
