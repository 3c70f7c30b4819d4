"""The l2 InfoNCE loss with its gradient written out.

With autograd the loss takes some seventy small operations, of about 430 in a step of a compact model. On a GPU each is
a kernel, whose launch dominates its cost. Written out there are half as many.

Shapes: K lanes, B batch, E elements of one representation (tokens x width).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class L2InfoNce(torch.autograd.Function):
    """log mean_ij exp(-|z_i - z_j|^2 / (E tau)) of each lane, [K], from z [K, B, E] and tau [K].

    With W the softmax of the exponents, over all i and j, the gradient is 4 / (E tau) (W - diag(W 1)) z: the weights'
    Laplacian, which is invariant to the mean, so that the centred z suffices.
    """

    @staticmethod
    def forward(ctx: Any, z_KBE: Tensor, tau_K: Tensor) -> Tensor:
        """Return the loss and save the tensors that the gradient needs."""
        batch, elements = z_KBE.shape[1:]
        centred = z_KBE - z_KBE.mean(1, keepdim=True)
        gram = torch.baddbmm(z_KBE.new_empty(1, 1, 1), centred, centred.mT, beta=0, alpha=1 / elements)
        squares = gram.diagonal(dim1=1, dim2=2)
        distances = (squares[:, :, None] + squares[:, None, :]).sub_(gram, alpha=2).clamp_min_(0)
        weights = (distances / -tau_K[:, None, None]).flatten(1).softmax(1)
        # The first exponent is that of a sample with itself, 0, so its weight is 1 / sum of exp.
        loss = (weights[:, 0] * batch**2).log().neg()
        # Without the diagonal first: at the floor it is nearly all of a row, and the difference would be rounding.
        laplacian = weights.view_as(gram)
        diagonal = laplacian.diagonal(dim1=1, dim2=2).zero_()
        diagonal.sub_(laplacian.sum(2))
        ctx.save_for_backward(centred, laplacian, tau_K)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradient with respect to z; tau has none."""
        centred, laplacian, tau_K = ctx.saved_tensors
        scale = grads[0] * 4 / (centred.shape[2] * tau_K)
        return (laplacian * scale[:, None, None]) @ centred, None
