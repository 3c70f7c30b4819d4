"""Dispersive Loss (Wang & He 2025, arXiv:2506.09027) for K lanes at once.

L2 InfoNCE: log mean_ij exp(-D_ij / tau) over the full B x B matrix, diagonal included, with
D_ij = |z_i - z_j|^2 / d. The public code divides by d, the number of elements of z_i; the printed algorithm does not
(distance 'sum'), and without it the loss is at its floor, -log B, from the start. At the floor the gradient vanishes,
so block and tau have no effect; hence the distance to the floor is recorded with every loss.

'covariance' is the mean square of the off-diagonal entries of the features' correlation matrix over the batch (Barlow
Twins, Zbontar et al. 2021, arXiv:2103.03230, without positives; of raw features it would contract the batch, for its
logarithm falls by 4 where that of the scale falls by 1). The paper prints a sum: as D_ij is divided by d, it is divided
by the number of pairs here, d (d - 1), so that a lambda means the same in models of any size.

Shapes: K lanes, B batch, E elements of one representation (tokens x width).
"""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor

from trainer.recipe import Distance, TauUnits, Variant
from trainer.regularisers.infonce import L2InfoNce
from trainer.regularisers.memory_bank import Bank, banked_loss
from trainer.regularisers.representation import squared_distances, widened
from trainer.regularisers.tau_units import in_units

CONSTANT = 1e-6  # of the mean variance: a feature that varies less does not vary
ROUNDING = 1e-10  # of the mean square: the variance that float32 computes for a constant feature
LEAST_VARIANCE = 1e-12  # in float32, since the gradient takes powers of it


def dispersive_loss(
    z_KBE: Tensor,
    tau_K: Tensor,
    variant: Variant,
    tau_units: TauUnits = "absolute",
    distance: Distance = "mean",
    bank: Bank | None = None,
) -> Tensor:
    """Return the loss of each lane, [K], in float32, whatever the precision of z (float64 is kept).

    tau: the temperature of 'l2' and 'cosine', the margin epsilon of 'hinge', unused by 'covariance'; with
    `tau_units` 'relative' or 'median' ('l2' only) distances are divided by the batch's mean or median off-diagonal
    distance, gradient included, so that growing the norm does not pay. With `distance` 'sum' ('l2' and 'hinge')
    squared distances are not divided by E. With a `bank` samples are compared with its entries as well ('covariance'
    has no pairs and takes none). At B = 1 the loss is 0.

        >>> same, apart = torch.zeros(1, 2, 3), torch.tensor([[[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]])
        >>> tau = torch.tensor([1.0])
        >>> dispersive_loss(same, tau, "l2"), dispersive_loss(apart, tau, "l2")  # -log 2 is the floor
        (tensor([-0.]), tensor([-0.6931]))
    """
    with torch.autocast(z_KBE.device.type, enabled=False):
        z_KBE = widened(z_KBE)
        if z_KBE.shape[1] == 1:
            return z_KBE.sum((1, 2)) * 0
        tau_K = tau_K.to(z_KBE.dtype)
        factor = z_KBE.shape[2] if distance == "sum" else 1
        if bank is not None:
            return banked_loss(z_KBE, bank, tau_K, variant, tau_units, factor)
        match variant:
            case "l2":
                # exp(-E D / tau) is exp(-D / (tau / E)).
                return _l2(z_KBE, tau_K / factor) if tau_units == "absolute" else _scaled_l2(z_KBE, tau_K, tau_units)
            case "cosine":
                return _cosine(z_KBE, tau_K)
            case "hinge":
                return _hinge(z_KBE, tau_K, factor)
            case "covariance":
                return _covariance(z_KBE)
            case _:
                assert_never(variant)


def layer_normalised(z_KBND: Tensor) -> Tensor:
    """Return tokens of mean 0 and variance 1 over their width D, without weights, in the loss's precision.

    As the public DiT and SiT normalise (eps 1e-6), without scale and shift. |z_i|^2 / E is then 1 at most, so a loss
    on it cannot be lowered by growing the norm.
    """
    wide = widened(z_KBND)
    return torch.nn.functional.layer_norm(wide, wide.shape[-1:], eps=1e-6)


def _log_mean_exp(exponent_KBB: Tensor) -> Tensor:
    return exponent_KBB.flatten(1).logsumexp(1) - 2 * math.log(exponent_KBB.shape[1])


def _l2(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    loss: Tensor = L2InfoNce.apply(z_KBE, tau_K)  # type: ignore[no-untyped-call]
    return loss


def _scaled_l2(z_KBE: Tensor, tau_K: Tensor, units: TauUnits) -> Tensor:
    distances = in_units(squared_distances(z_KBE), units)
    return _log_mean_exp(-distances / tau_K[:, None, None])


def _cosine(z_KBE: Tensor, tau_K: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(z_KBE, dim=2)
    return _log_mean_exp(unit @ unit.mT / tau_K[:, None, None])


def _hinge(z_KBE: Tensor, tau_K: Tensor, factor: int) -> Tensor:
    shortfall = (tau_K[:, None, None] - factor * squared_distances(z_KBE)).clamp_min(0)
    return shortfall.square().mean((1, 2))


def _covariance(z_KBE: Tensor) -> Tensor:
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
    # With fewer than one pair of varying features, only rounding is left.
    return (gram_KBB.square().sum((1, 2)) - diagonal_K) / pairs_K.clamp_min(1)
