"""The least a Dispersive Loss can be, and its span above that: at the floor there is no gradient left."""

from __future__ import annotations

import math
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from trainer.recipe import TauUnits, Variant

LEAST_SPAN = 1e-3  # where a floor is all there is: a hundredth of it is above what rounding does
FLOOR_SHARE = 0.01  # of the span: closer than this to the floor counts as being at it


class Bounds(NamedTuple):
    """The least a loss can be, and how far above that it is when all representations are equal; each [K].

    Of 'covariance' the span is that of features which are all perfectly correlated.
    """

    floor: Tensor
    span: Tensor


def bounds(tau_K: Tensor, variant: Variant, tau_units: TauUnits, batch: int, elements: int) -> Bounds:
    """Return the bounds of `dispersive_loss` for a batch of so many, in tau's precision; all 0 for a batch of one.

    `elements` are those of one representation, E. The floor of 'covariance' is that of E features that all vary.
    """
    nothing = torch.zeros_like(tau_K)
    if batch == 1 or (variant == "covariance" and elements == 1):
        return Bounds(nothing, nothing)
    match variant:
        case "l2":
            # By Jensen the relative loss is least when all distances are equal, i.e. 1 in its units.
            others = -1 / tau_K if tau_units == "relative" else torch.full_like(tau_K, -math.inf)
            floor = _mixture(nothing, others, batch)
            return Bounds(floor, -floor)
        case "cosine":
            # Least when all angles are equal: a simplex, where every cosine is -1 / (B - 1).
            floor = _mixture(1 / tau_K, -1 / ((batch - 1) * tau_K), batch)
            return Bounds(floor, 1 / tau_K - floor)
        case "hinge":
            floor = tau_K.square() / batch
            return Bounds(floor, tau_K.square() - floor)
        case "covariance":
            # A correlation matrix of rank B - 1 or less has trace E, so by Cauchy and Schwarz squares of E^2 / (B - 1)
            # or more, E of them on its diagonal: of B = 2 all are 1, and of B much smaller than E there is little to
            # gain.
            floor = torch.full_like(tau_K, max(0.0, (elements / (batch - 1) - 1) / (elements - 1)))
            return Bounds(floor, (1 - floor).clamp_min(LEAST_SPAN))
        case _:
            assert_never(variant)


def at_floor(above_floor: Tensor, span: Tensor) -> Tensor:
    """Return whether a loss is saturated: nearer to its floor than 1 % of its span."""
    return above_floor <= FLOOR_SHARE * span


def _mixture(diagonal: Tensor, others: Tensor, batch: int) -> Tensor:
    # log of the mean of exp over one diagonal element and B - 1 others.
    return torch.logaddexp(diagonal, others + math.log(batch - 1)) - math.log(batch)
