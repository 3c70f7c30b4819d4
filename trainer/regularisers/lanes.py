"""Selecting lanes from a tensor with one row per lane."""

from __future__ import annotations

from torch import Tensor


def rows_of(part_K: Tensor, lanes: Tensor) -> Tensor:
    """Return the rows of `lanes`, which are distinct and in order; if these are all rows, the tensor itself."""
    everyone = len(lanes) == len(part_K)
    return part_K if everyone else part_K.index_select(0, lanes)
