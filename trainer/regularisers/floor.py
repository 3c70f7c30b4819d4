"""The floor of a Dispersive Loss and its span above that; at the floor the gradient vanishes.

Each floor is attained by some batch, or approached: by a regular simplex that is large, lies on a sphere or is measured
in its own distances; with tau in median distances by groups that move apart; for features by a tight frame.

With a memory bank the floor is the minimum over all contents of the bank. Where layer normalisation or a cosine keeps
both on a sphere, the bank is then at one pole and the batch spread about the other (`_against_a_pole`). A network that
changes slowly, whose bank resembles its batch, stays above this floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from trainer.recipe import Distance, Features, TauUnits, Variant

LEAST_SPAN = 1e-3  # where the span would be 0: a hundredth of this exceeds rounding errors
FLOOR_SHARE = 0.01  # of the span: closer than this to the floor counts as being at it
NARROWINGS = 90  # of an interval to two thirds: to the last digit of float64


class Bounds(NamedTuple):
    """The floor of a loss, and how far above it the loss is when all representations are equal; each [K].

    Of 'covariance' the span is that of features which are all perfectly correlated.
    """

    floor: Tensor
    span: Tensor


class Compared(NamedTuple):
    """What is compared: `batch` samples of `tokens` x `width`, raw or layer-normalised, and `bank` earlier ones.

    `bank` may be a tensor of numbers, which is broadcast against tau.
    """

    batch: int
    tokens: int
    width: int
    features: Features = "raw"
    distance: Distance = "mean"
    bank: int | Tensor = 0

    @property
    def elements(self) -> int:
        """Elements of one representation, E."""
        return self.tokens * self.width

    @property
    def farthest(self) -> float:
        """Squared distance of two opposite representations where they lie on a sphere, as the loss counts it."""
        return 4.0 * (self.elements if self.distance == "sum" else 1)


def bounds(tau_K: Tensor, variant: Variant, tau_units: TauUnits, compared: Compared) -> Bounds:
    """Return the bounds of `dispersive_loss`, in tau's precision; all 0 where nothing can be gained.

    The floor of 'covariance' is that of E features that all vary.
    """
    batch, width, normalised = compared.batch, compared.width, compared.features == "layer_norm"
    nothing = torch.zeros_like(tau_K + compared.bank)
    tau_K = tau_K + nothing
    if batch == 1 or (variant == "covariance" and compared.elements == 1) or (normalised and width == 1):
        return Bounds(nothing, nothing)
    match variant:
        case "l2":
            floor = _l2_floor(tau_K, tau_units, compared)
            return Bounds(floor, -floor)
        case "cosine":
            floor = _cosine_floor(tau_K, compared)
            return Bounds(floor, 1 / tau_K - floor)
        case "hinge":
            floor = _hinge_floor(tau_K, compared)
            return Bounds(floor, tau_K.square() - floor)
        case "covariance":
            # A correlation matrix of rank B - 1 or less has trace E, so by Cauchy and Schwarz its squares sum to
            # E^2 / (B - 1) or more, E of it on the diagonal: with B = 2 all are 1, and with B much smaller than E there
            # is little to gain. The elements of a layer-normalised token add up to 0, so its rank is D - 1 at most.
            rank = min(batch - 1, compared.tokens * (width - 1)) if normalised else batch - 1
            floor = torch.full_like(tau_K, max(0.0, (compared.elements / rank - 1) / (compared.elements - 1)))
            return Bounds(floor, (1 - floor).clamp_min(LEAST_SPAN))
        case _:
            assert_never(variant)


def at_floor(above_floor: Tensor, span: Tensor) -> Tensor:
    """Return whether a loss is saturated: nearer to its floor than 1 % of its span."""
    return above_floor <= FLOOR_SHARE * span


def _l2_floor(tau_K: Tensor, units: TauUnits, compared: Compared) -> Tensor:
    match units:
        case "absolute":
            if compared.features == "layer_norm":
                # Where |z|^2 = E, exp(-D / tau) is exp(2 cos / tau) / exp(2 / tau). Tokens of mean 0 hold the simplex
                # of the cosines where N (D - 1) is B - 1 or more.
                half_K = 2 * tau_K / compared.farthest
                return _cosine_floor(half_K, compared) - 1 / half_K
            return _mixture(torch.zeros_like(tau_K), torch.full_like(tau_K, -math.inf), compared)
        case "relative":
            # By Jensen the relative loss is least when all distances are equal, i.e. 1 in its units.
            return _mixture(torch.zeros_like(tau_K), -1 / tau_K, compared)
        case "median":
            return _median_floor(tau_K, compared)
        case _:
            assert_never(units)


def _median_floor(tau_K: Tensor, compared: Compared) -> Tensor:
    # Half of the pairs are no farther apart than the median, 1 in its units, and the others may be far apart: groups
    # that move apart do that. Equal distances are not the minimum here, as they are with the mean.
    batch, everyone = compared.batch, compared.batch + torch.as_tensor(compared.bank).to(tau_K)
    pairs_K = batch * (everyone - 1)
    near_K = torch.floor((pairs_K - 1) / 2) + 1
    # Without a bank each pair is there twice.
    near_K = torch.where(everyone == batch, 2 * torch.ceil(near_K / 2), near_K)
    return torch.logaddexp(torch.full_like(tau_K, math.log(batch)), near_K.log() - 1 / tau_K) - (batch * everyone).log()


def _cosine_floor(tau_K: Tensor, compared: Compared) -> Tensor:
    batch = compared.batch
    if not isinstance(compared.bank, Tensor) and not compared.bank:
        # Least when all angles are equal: a simplex, where every cosine is -1 / (B - 1).
        return _mixture(1 / tau_K, -1 / ((batch - 1) * tau_K), compared)
    bank_K = torch.as_tensor(compared.bank).to(tau_K)

    def loss(pole: Tensor) -> Tensor:
        own = 1 / tau_K
        others = (batch * pole.square() - 1) / ((batch - 1) * tau_K) + math.log(batch - 1)
        return torch.stack([own, others, bank_K.log() - pole / tau_K]).logsumexp(0) - (batch + bank_K).log()

    return _against_a_pole(loss, bank_K)


def _hinge_floor(tau_K: Tensor, compared: Compared) -> Tensor:
    batch, bank_K = compared.batch, torch.as_tensor(compared.bank).to(tau_K)
    if compared.features == "raw":
        return tau_K.square() / (batch + bank_K)
    half = compared.farthest / 2

    def loss(pole: Tensor) -> Tensor:
        others = (tau_K - half * batch * (1 - pole.square()) / (batch - 1)).clamp_min(0).square()
        earlier = (tau_K - half * (1 + pole)).clamp_min(0).square()
        return (tau_K.square() + (batch - 1) * others + bank_K * earlier) / (batch + bank_K)

    return _against_a_pole(loss, bank_K)


def _against_a_pole(loss: Callable[[Tensor], Tensor], bank_K: Tensor) -> Tensor:
    """Return the least of `loss` over how far, from 0 to 1, the batch's mean lies from the centre of the sphere.

    By Jensen each of the two kinds of pairs is least when equal among itself: the bank lies at the opposite pole, and
    the batch is a simplex about its mean. The loss is convex in that distance. Without a bank the mean is the centre.
    """
    low = torch.zeros_like(bank_K)
    high = torch.where(bank_K > 0, torch.ones_like(bank_K), low)
    for _ in range(NARROWINGS):
        third = (high - low) / 3
        left, right = low + third, high - third
        falls = loss(left) > loss(right)
        low, high = torch.where(falls, left, low), torch.where(falls, high, right)
    return loss((low + high) / 2)


def _mixture(diagonal: Tensor, others: Tensor, compared: Compared) -> Tensor:
    # log of the mean of exp over one diagonal element and B - 1 others, and as many more as the bank has.
    if isinstance(compared.bank, Tensor):
        everyone = compared.batch + compared.bank.to(diagonal)
        return torch.logaddexp(diagonal, others + (everyone - 1).log()) - everyone.log()
    count = compared.batch + compared.bank
    return torch.logaddexp(diagonal, others + math.log(count - 1)) - math.log(count)
