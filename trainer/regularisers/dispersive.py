"""Dispersive Loss (Wang & He 2025, arXiv:2506.09027) for K lanes at once, and its health.

L2 InfoNCE: log mean_ij exp(-D_ij / tau) over the full B x B matrix, diagonal included, with
D_ij = |z_i - z_j|^2 / d. The public code divides by d, the number of elements of z_i; the printed algorithm does not,
and without it the loss is at its floor, -log B, from the start. At the floor there is no gradient left: block and tau
mean nothing there, so the distance to the floor is recorded with every loss.

'covariance' is the mean square of the off-diagonal entries of the features' correlation matrix over the batch (Barlow
Twins without positives; of raw features it would contract the batch). The paper prints a sum: as D_ij is divided by d,
it is divided by the number of pairs here, d (d - 1), so that a lambda means the same in models of any size.

Shapes: K lanes, B batch, E elements of one representation (tokens x width).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.recipe import TauUnits, Variant
from trainer.regularisers.infonce import L2InfoNce

CONSTANT = 1e-6  # of the mean variance: a feature that varies less does not vary
ROUNDING = 1e-10  # of the mean square: what float32 makes of a feature that does not vary at all
LEAST_VARIANCE = 1e-12  # of float32, whose powers a gradient takes
LEAST_SPAN = 1e-3  # where a floor is all there is: a hundredth of it is above what rounding does
FLOOR_SHARE = 0.01  # of the span: closer than this to the floor counts as being at it


class Bounds(NamedTuple):
    """The least a loss can be, and how far above that it is when all representations are equal; each [K].

    Of 'covariance' the span is that of features which are all perfectly correlated.
    """

    floor: Tensor
    span: Tensor


def dispersive_loss(z_KBE: Tensor, tau_K: Tensor, variant: Variant, tau_units: TauUnits = "absolute") -> Tensor:
    """Return the loss of each lane, [K], in float32, whatever the precision of z (float64 is kept).

    'covariance' is the mean squared correlation of two features over the batch: Barlow Twins (Zbontar et al. 2021,
    arXiv:2103.03230) without positives, which normalises features over the batch, divided by the number of pairs so
    that lambda means the same at every width. Of features as they are it would contract the batch: its logarithm
    falls by 4 where that of the scale falls by 1.

    tau: the temperature of 'l2' and 'cosine', the margin epsilon of 'hinge', unused by 'covariance'; with
    `tau_units` 'relative' ('l2' only) distances are divided by the batch's mean off-diagonal distance, gradient
    included, so that growing the norm does not pay. At B = 1 the loss is 0.
    """
    with torch.autocast(z_KBE.device.type, enabled=False):
        z_KBE = z_KBE if z_KBE.dtype == torch.float64 else z_KBE.float()
        if z_KBE.shape[1] == 1:
            return z_KBE.sum((1, 2)) * 0
        tau_K = tau_K.to(z_KBE.dtype)
        return _relative_l2(z_KBE, tau_K) if tau_units == "relative" else _VARIANTS[variant](z_KBE, tau_K)


def bounds(tau_K: Tensor, variant: Variant, tau_units: TauUnits, batch: int, elements: int) -> Bounds:
    """Return the bounds of `dispersive_loss` for a batch of so many, in tau's precision; all 0 for a batch of one.

    `elements` are those of one representation, E. The floor of 'covariance' is that of E features that all vary.
    """
    nothing = torch.zeros_like(tau_K)
    if batch == 1 or (variant == "covariance" and elements == 1):
        return Bounds(nothing, nothing)
    if variant == "covariance":
        # A correlation matrix of rank B - 1 or less has trace E, so by Cauchy and Schwarz squares of E^2 / (B - 1) or
        # more, E of them on its diagonal: of B = 2 all are 1, and of B much smaller than E there is little to gain.
        floor = torch.full_like(tau_K, max(0.0, (elements / (batch - 1) - 1) / (elements - 1)))
        return Bounds(floor, (1 - floor).clamp_min(LEAST_SPAN))
    if variant == "hinge":
        floor = tau_K.square() / batch
        return Bounds(floor, tau_K.square() - floor)
    if variant == "cosine":
        # Least when all angles are equal: a simplex, where every cosine is -1 / (B - 1).
        floor = _mixture(1 / tau_K, -1 / ((batch - 1) * tau_K), batch)
        return Bounds(floor, 1 / tau_K - floor)
    # By Jensen the relative loss is least when all distances are equal, i.e. 1 in its units.
    others = -1 / tau_K if tau_units == "relative" else torch.full_like(tau_K, -math.inf)
    floor = _mixture(nothing, others, batch)
    return Bounds(floor, -floor)


def at_floor(above_floor: Tensor, span: Tensor) -> Tensor:
    """Return whether a loss is saturated: nearer to its floor than 1 % of its span."""
    return above_floor <= FLOOR_SHARE * span


def squared_distances(z_KBE: Tensor) -> Tensor:
    """Return D_ij = |z_i - z_j|^2 / E as [K, B, B], zero on the diagonal.

    From the Gram matrix of the centred batch: uncentred, float32 loses every digit when the mean is large.
    """
    gram_KBB = _centred_gram(z_KBE)
    squares_KB = gram_KBB.diagonal(dim1=1, dim2=2)
    # In this order the diagonal is s - 2 s + s, exactly 0 in any precision.
    return (squares_KB[:, :, None].sub(gram_KBB, alpha=2) + squares_KB[:, None, :]).clamp_min(0)


def median_distance(z_KBE: Tensor) -> Tensor:
    """Return the median of D_ij over pairs i < j, [K], in the units of tau; B >= 2.

    Of an even number of pairs it is the lower middle one; NaN where z is not finite.
    """
    i, j = torch.triu_indices(z_KBE.shape[1], z_KBE.shape[1], 1, device=z_KBE.device)
    return squared_distances(z_KBE.float())[:, i, j].median(1).values


def feature_norm(z_KBE: Tensor) -> Tensor:
    """Return the root mean square of the elements, [K]."""
    return z_KBE.float().square().mean((1, 2)).sqrt()


def effective_rank(z_KBE: Tensor) -> Tensor:
    """Return the effective rank of the centred batch, [K], from 1 to B - 1 (Roy & Vetterli 2007, eq. 4).

    The exponential of the entropy of the normalised singular values; NaN where z is not finite.
    """
    gram = _centred_gram(z_KBE.double())
    finite = gram.isfinite().all(-1).all(-1)
    eigenvalues = torch.linalg.eigvalsh(torch.where(finite[:, None, None], gram, torch.zeros_like(gram)))
    singular = eigenvalues.clamp_min(0).sqrt()
    share = singular / singular.sum(-1, keepdim=True).clamp_min(torch.finfo(singular.dtype).tiny)
    rank = torch.special.entr(share).sum(-1).exp()
    return torch.where(finite, rank, torch.nan).float()


def _centred_gram(z_KBE: Tensor) -> Tensor:
    centred = z_KBE - z_KBE.mean(1, keepdim=True)
    return torch.baddbmm(centred.new_zeros(1, 1, 1), centred, centred.mT, beta=0, alpha=1 / z_KBE.shape[2])


def _log_mean_exp(exponent_KBB: Tensor) -> Tensor:
    return exponent_KBB.flatten(1).logsumexp(1) - 2 * math.log(exponent_KBB.shape[1])


def _l2(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    loss: Tensor = L2InfoNce.apply(z_KBE, tau_K)  # type: ignore[no-untyped-call]
    return loss


def _relative_l2(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    batch, distances = z_KBE.shape[1], squared_distances(z_KBE)
    # The gradient must pass through the mean: with a stop-gradient the norm explodes.
    mean = distances.sum((1, 2)) / (batch * (batch - 1))
    distances = distances / mean.clamp_min(torch.finfo(distances.dtype).tiny)[:, None, None]
    return _log_mean_exp(-distances / tau_K[:, None, None])


def _cosine(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(z_KBE, dim=2)
    return _log_mean_exp(unit @ unit.mT / tau_K[:, None, None])


def _hinge(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    shortfall = (tau_K[:, None, None] - squared_distances(z_KBE)).clamp_min(0)
    return shortfall.square().mean((1, 2))


def _covariance(z_KBE: Tensor, _tau_K: Tensor) -> Tensor:
    centred = z_KBE - z_KBE.mean(1, keepdim=True)
    variance_KE = centred.square().mean(1)
    # A feature that does not vary has no correlation; relative to the others, so that no scale of z is preferred.
    least_K = CONSTANT * variance_KE.mean(1) + ROUNDING * z_KBE.square().mean((1, 2))
    least_K = least_K.clamp_min(LEAST_VARIANCE)
    standard_KBE = centred * (variance_KE + least_K[:, None]).rsqrt()[:, None, :]
    # |R|_F^2 from the B x B Gram matrix: the E x E correlation matrix R is never built.
    gram_KBB = standard_KBE @ standard_KBE.mT / z_KBE.shape[1]
    varies_KE = variance_KE / (variance_KE + least_K[:, None])  # R's diagonal: 1, and 0 of what does not vary
    diagonal_K = varies_KE.square().sum(1)
    pairs_K = varies_KE.sum(1).square() - diagonal_K
    # Of fewer than one pair that varies, what is left is rounding.
    return (gram_KBB.square().sum((1, 2)) - diagonal_K) / pairs_K.clamp_min(1)


def _mixture(diagonal: Tensor, others: Tensor, batch: int) -> Tensor:
    # log of the mean of exp over one diagonal element and B - 1 others.
    return torch.logaddexp(diagonal, others + math.log(batch - 1)) - math.log(batch)


_VARIANTS: dict[Variant, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": _l2,
    "cosine": _cosine,
    "hinge": _hinge,
    "covariance": _covariance,
}
