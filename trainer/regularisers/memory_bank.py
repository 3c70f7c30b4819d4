"""A memory bank: representations of earlier steps, as negatives beside those of the batch.

As in Repulsor (Zhang et al. 2025, arXiv:2512.08648) a queue of earlier representations makes the number of negatives
independent of the batch; the queue is that of MoCo (He et al. 2020, arXiv:1911.05722): first in, first out, without
gradient. Unlike both it holds the representations themselves, without a projection or a slow encoder, so that the loss
is the Dispersive Loss with more samples to compare with. A bank takes 4 N E bytes a block and a lane, and as much again
while a step makes the next one: 64 entries of 16 tokens x 64 are 256 KiB, 65,536 of 256 x 768 are 48 GiB.

Shapes: K lanes, B batch, N entries of the bank, E elements of one representation, J = B + N
"""

from __future__ import annotations

import math
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from trainer.recipe import TauUnits, Variant
from trainer.regularisers.tau_units import in_units


class Bank(NamedTuple):
    """Earlier representations [K, N, E], the newest last, and how many of them there are, [K]: the last ones."""

    entries: Tensor
    filled: Tensor


def banked_loss(z_KBE: Tensor, bank: Bank, tau_K: Tensor, variant: Variant, units: TauUnits, factor: int) -> Tensor:
    """Return the Dispersive Loss [K] of a batch whose samples are compared with one another and with the bank.

    The mean is over B (B + filled) pairs, a sample with itself among them. `factor` multiplies squared distances.
    """
    bank = Bank(bank.entries.to(z_KBE.dtype).detach(), bank.filled)
    batch, empty_KJ = z_KBE.shape[1], _empty(bank, z_KBE.shape[1])
    counted_K = batch * (batch + bank.filled)
    match variant:
        case "l2":
            distances = in_units(_distances(z_KBE, bank), units, empty_KJ)
            return _log_mean_exp(-distances * factor / tau_K[:, None, None], empty_KJ, counted_K)
        case "cosine":
            unit_KBE, others_KNE = (torch.nn.functional.normalize(part, dim=2) for part in (z_KBE, bank.entries))
            cosines = unit_KBE @ torch.cat([unit_KBE, others_KNE], 1).mT
            return _log_mean_exp(cosines / tau_K[:, None, None], empty_KJ, counted_K)
        case "hinge":
            shortfall = (tau_K[:, None, None] - factor * _distances(z_KBE, bank)).clamp_min(0)
            return shortfall.masked_fill(empty_KJ[:, None], 0).square().sum((1, 2)) / counted_K
        case "covariance":
            raise AssertionError("no pairs are compared: the setting refuses it")
        case _:
            assert_never(variant)


def renewed(bank: Bank, z_KBE: Tensor) -> Bank:
    """Return the bank of the next step: the batch joins, the oldest leave; in new tensors, without gradient."""
    size = bank.entries.shape[1]
    joined = torch.cat([bank.entries, z_KBE.detach().to(bank.entries.dtype)], 1)
    return Bank(joined[:, -size:], (bank.filled + z_KBE.shape[1]).clamp_max(size))


def fill_levels(size: int, batch: int) -> range | list[int]:
    """Return how many entries a bank has after 0, 1, 2, .. steps, up to all of them."""
    return [*range(0, size, batch), size]


def fill_level(filled_K: Tensor, batch: int) -> Tensor:
    """Return the place of `filled` in `fill_levels`, [K]."""
    return (filled_K + (batch - 1)) // batch


def _empty(bank: Bank, batch: int) -> Tensor:
    size = bank.entries.shape[1]
    places = torch.arange(batch + size, device=bank.filled.device)
    return (places >= batch) & (places < batch + size - bank.filled[:, None])


def _distances(z_KBE: Tensor, bank: Bank) -> Tensor:
    # From the Gram matrix about the batch's mean, as `squared_distances`; distances do not see it, so without gradient.
    mean = z_KBE.detach().mean(1, keepdim=True)
    own, others = z_KBE - mean, bank.entries - mean
    gram_KBJ = own @ torch.cat([own, others], 1).mT / z_KBE.shape[2]
    squares_KB = gram_KBJ.diagonal(dim1=1, dim2=2)
    squares_KJ = torch.cat([squares_KB, others.square().mean(2)], 1)
    return (squares_KB[:, :, None].sub(gram_KBJ, alpha=2) + squares_KJ[:, None, :]).clamp_min(0)


def _log_mean_exp(exponents_KBJ: Tensor, empty_KJ: Tensor, counted_K: Tensor) -> Tensor:
    there = exponents_KBJ.masked_fill(empty_KJ[:, None], -math.inf)
    return there.flatten(1).logsumexp(1) - counted_K.to(there.dtype).log()
