"""Validate arrays as images or latents with labels, and find their channel axis."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import numpy as np

from trainer.data.array_files import Array, Arrays
from trainer.data.parts import row_parts
from trainer.data.sources import Raw
from trainer.errors import DataError
from trainer.recipe import Layout


def labelled(arrays: Arrays, path: Path, layout: Layout = "auto") -> Raw:
    """Return x as uint8 images or float latents, and y, integer labels [N], renumbered in order.

    `layout` says where x has its channels, in [N, C, H, W] or [N, H, W, C]; 'auto' finds out which images have 1 or 3
    of them, and refuses latents that look as if theirs came last. Images may be [N, H, W] as well. Raises DataError,
    which names the file, for anything else.
    """
    x, y, y_file = arrays
    if x.ndim < 3 or 0 in x.shape[1:]:
        raise DataError(f"{path}: x is {x.dtype} {list(x.shape)}; give images [N, H, W] or more, latents [N, C, H, W]")
    if y.ndim != 1 or len(y) != len(x) or y.dtype.kind not in "iu":
        raise DataError(f"{y_file}: y is {y.dtype} {list(y.shape)}; it must be {len(x)} integers, one for each of x")
    negative = np.flatnonzero(np.less(y, 0))
    if len(negative):
        row = int(negative[0])
        raise DataError(
            f"{y_file}: y[{row}] is {y[row]}, which names no class (by custom: no label); keep the rows that have one, "
            "and number classes from 0"
        )
    labels = np.unique(y, return_inverse=True)[1].astype(np.int64)
    if x.dtype == np.uint8:
        return Raw(_image_channels_first(path, x, layout), labels, 255.0)
    if x.dtype.kind != "f" or x.ndim != 4:
        raise DataError(f"{path}: x is {x.dtype} {list(x.shape)}; give uint8 images or float latents [N, C, H, W]")
    latents = _latent_channels_first(path, x, layout)
    if not all(np.isfinite(latents[part]).all() for part in row_parts(latents.shape)):
        raise DataError(f"{path}: x has values that are not finite; encode these latents again")
    return Raw(latents, labels, None)


def _latent_channels_first(path: Path, x: Array, layout: Layout) -> Array:
    match layout:
        case "channels_first":
            return x
        case "channels_last":
            return _moved_first(x)
        case "auto":
            _, channels, height, width = x.shape
            if height != width and channels >= min(height, width):
                raise DataError(
                    f"{path}: x is {x.dtype} {list(x.shape)}, which looks like channels last; "
                    "set data.layout to channels_last, or to channels_first if it is [N, C, H, W] all the same"
                )
            return x
        case _:
            assert_never(layout)


def _image_channels_first(path: Path, x: Array, layout: Layout) -> Array:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in (1, 3) and layout != "channels_first":
        return _moved_first(x)
    if x.ndim == 4 and x.shape[1] in (1, 3) and layout != "channels_last":
        return x
    where = {"auto": "last or second", "channels_first": "second", "channels_last": "last"}[layout]
    raise DataError(f"{path}: x is uint8 {list(x.shape)}; images are [N, H, W], or have 1 or 3 channels {where}")


def _moved_first(x: Array) -> Array:
    moved = x.transpose(0, 3, 1, 2)
    # For a mapped array this is only a view: moving its axes in memory would load it whole.
    return moved if isinstance(x, np.memmap) else np.ascontiguousarray(moved)
