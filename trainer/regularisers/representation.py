"""Distances between samples, which losses are made of, and the health of a representation, for K lanes at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def widened(z: Tensor) -> Tensor:
    """Return features in the precision of a loss: float32, or float64 if they are in float64."""
    return z if z.dtype == torch.float64 else z.float()


def squared_distances(z_KBE: Tensor) -> Tensor:
    """Return D_ij = |z_i - z_j|^2 / E as [K, B, B], zero on the diagonal.

    From the Gram matrix of the centred batch: uncentred, float32 loses every digit when the mean is large.
    """
    gram_KBB = _centred_gram(z_KBE)
    squares_KB = gram_KBB.diagonal(dim1=1, dim2=2)
    # Added in this order, the diagonal is s - 2 s + s, exactly 0 in any precision.
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


def uniformity(z_KBE: Tensor) -> Tensor:
    """Return how evenly the batch covers the sphere, [K]: log mean over pairs of exp(-2 |x_i - x_j|^2) of x = z / |z|.

    Wang & Isola 2020 (arXiv:2005.10242), section 4.1.2, t = 2: 0 where all point in one direction, about -4 where their
    directions are independent.
    """
    x = torch.nn.functional.normalize(z_KBE.float(), dim=2)
    i, j = torch.triu_indices(x.shape[1], x.shape[1], 1, device=x.device)
    # |x - y|^2 = 2 - 2 x y.
    return (4 * (x @ x.mT)[:, i, j] - 4).logsumexp(1) - math.log(len(i))


def alignment(z_KBE: Tensor, other_KBE: Tensor) -> Tensor:
    """Return the mean |x - y|^2 of two views of every image, x = z / |z|, [K]; from 0, the same direction, to 4.

    Wang & Isola 2020, section 4.1.1, alpha = 2.
    """
    x, y = (torch.nn.functional.normalize(part.float(), dim=2) for part in (z_KBE, other_KBE))
    return (x - y).square().sum(2).mean(1)


def linear_cka(x_KBD: Tensor, y_KBE: Tensor) -> Tensor:
    """Return how alike two representations of one batch are, [K]: 1 where they differ by rotation and scale alone.

    Kornblith et al. 2019 (arXiv:1905.00414), eq. 4 with linear kernels; widths may differ. NaN where one is constant.
    """
    x, y = (part.double() - part.double().mean(1, keepdim=True) for part in (x_KBD, y_KBE))
    within = [torch.linalg.matrix_norm(part.mT @ part) for part in (x, y)]
    similarity: Tensor = torch.linalg.matrix_norm(x.mT @ y).square() / (within[0] * within[1])
    return similarity.float()


def _centred_gram(z_KBE: Tensor) -> Tensor:
    centred = z_KBE - z_KBE.mean(1, keepdim=True)
    return torch.baddbmm(centred.new_zeros(1, 1, 1), centred, centred.mT, beta=0, alpha=1 / z_KBE.shape[2])
