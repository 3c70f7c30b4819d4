"""The units of tau: absolute distances, or the batch's own mean or median distance.

The gradient passes through the unit. Kernel methods that set a bandwidth to the median distance stop it there
(as public code of Stein's method does), since to them it is a mere constant. Here a growing norm would then lower the
loss without end: with the mean detached it grew to 1e6. With the gradient the loss of a scaled batch is the
same, and the gradient is orthogonal to the batch, so that no small step along it changes the norm.

Shapes: K lanes, B batch, J samples that each is compared with, the batch itself first
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from trainer.recipe import TauUnits


def in_units(distances_KBJ: Tensor, units: TauUnits, empty_KJ: Tensor | None = None) -> Tensor:
    """Return squared distances in `units`: those of pairs of two samples, each pair within the batch counted twice.

    `empty` says which samples are not there. The median of an even number is the lower middle one.
    """
    match units:
        case "absolute":
            return distances_KBJ
        case "relative":
            unit_K = _mean(distances_KBJ, empty_KJ)
        case "median":
            unit_K = _median(distances_KBJ, empty_KJ)
        case _:
            assert_never(units)
    return distances_KBJ / unit_K.clamp_min(torch.finfo(distances_KBJ.dtype).tiny)[:, None, None]


def _mean(distances_KBJ: Tensor, empty_KJ: Tensor | None) -> Tensor:
    if empty_KJ is not None:
        distances_KBJ = distances_KBJ.masked_fill(empty_KJ[:, None], 0)
    return distances_KBJ.sum((1, 2)) / _pairs(distances_KBJ, empty_KJ)


def _median(distances_KBJ: Tensor, empty_KJ: Tensor | None) -> Tensor:
    lanes, batch, samples = distances_KBJ.shape
    left_out = torch.eye(batch, samples, dtype=torch.bool, device=distances_KBJ.device)
    left_out = left_out if empty_KJ is None else left_out | empty_KJ[:, None]
    # Absent ones are sorted to the end, since only the device knows how many there are.
    rising = distances_KBJ.masked_fill(left_out, torch.inf).flatten(1).sort(1).values
    middle = (_pairs(distances_KBJ, empty_KJ) - 1) // 2
    if isinstance(middle, int):
        return rising[:, middle]
    return rising.gather(1, middle.view(lanes, 1)).squeeze(1)


def _pairs(distances_KBJ: Tensor, empty_KJ: Tensor | None) -> int | Tensor:
    _, batch, samples = distances_KBJ.shape
    return batch * (samples - 1) if empty_KJ is None else batch * (samples - 1 - empty_KJ.sum(1))
