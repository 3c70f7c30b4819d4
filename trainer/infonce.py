"""The l2 InfoNCE loss of `trainer.dispersion` in few operations, for a GPU, where their number is what they cost.

A step of a compact model is hundreds of kernels of microseconds. Written with autograd the loss adds some eighty more,
a fifth of a step; with its gradient written out, about thirty. The numbers are the same but for rounding.

Shapes: K lanes, G (lane, block) pairs, B batch, E elements of one representation (tokens x width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.loss import Losses, TrainingLoss
from trainer.model import Output
from trainer.recipe import Dispersion


def training_loss(dispersions: Sequence[Dispersion], device: torch.device) -> TrainingLoss:
    """Return the loss that suits the lanes and the device."""
    active = [each for each in dispersions if each.lam > 0]
    plain = all((each.variant, each.tau_units) == ("l2", "absolute") for each in active)
    return (
        InfoNceLoss(dispersions, device)
        if device.type == "cuda" and active and plain
        else TrainingLoss(dispersions, device)
    )


class InfoNceLoss(TrainingLoss):
    """The same losses where every lane that disperses does it by 'l2' at an absolute tau, and at least one does."""

    def __call__(self, output: Output, target_KBCHW: Tensor) -> Losses:
        """Return the losses."""
        (group,) = self._groups
        velocity = (output.velocity - target_KBCHW).square().mean((1, 2, 3, 4))
        z_GBE = group.gather(output.tokens)
        z_GBE = z_GBE if z_GBE.dtype == torch.float64 else z_GBE.float()
        each: Tensor = LogMeanExp.apply(z_GBE, group.tau.to(z_GBE.dtype))  # type: ignore[no-untyped-call]
        dispersive = torch.zeros_like(velocity).index_add(0, group.lanes, each) / self._blocks
        total = torch.addcmul(velocity, self._lam, dispersive)
        # The floor is -log B at every tau, so a lane's distance from it is that of its mean.
        nothing, span = self._nothing.to(velocity.dtype), math.log(z_GBE.shape[1])
        shown = dispersive.detach() + nothing
        return Losses(total, velocity.detach(), shown, shown + span, nothing + span)


class LogMeanExp(torch.autograd.Function):
    """log mean_ij exp(-|z_i - z_j|^2 / (E tau)) of each pair, [G], from z [G, B, E] and tau [G].

    With W the softmax of the exponents, over all i and j, the gradient is 4 / (E tau) (W - diag(W 1)) z: the weights'
    Laplacian, which does not see the mean, so that the centred z will do.
    """

    @staticmethod
    def forward(ctx: Any, z_GBE: Tensor, tau_G: Tensor) -> Tensor:
        """Return the loss and keep what the gradient is made of."""
        batch, elements = z_GBE.shape[1:]
        centred = z_GBE - z_GBE.mean(1, keepdim=True)
        gram = torch.baddbmm(z_GBE.new_empty(1, 1, 1), centred, centred.mT, beta=0, alpha=1 / elements)
        squares = gram.diagonal(dim1=1, dim2=2)
        distances = (squares[:, :, None] + squares[:, None, :]).sub_(gram, alpha=2).clamp_min_(0)
        weights = (distances / -tau_G[:, None, None]).flatten(1).softmax(1)
        # The first exponent is that of a sample with itself, 0, so its weight is 1 / sum of exp.
        loss = (weights[:, 0] * batch**2).log().neg()
        laplacian = weights.view_as(gram)
        laplacian.diagonal(dim1=1, dim2=2).sub_(laplacian.sum(2))
        ctx.save_for_backward(centred, laplacian, tau_G)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradient with respect to z; tau has none."""
        centred, laplacian, tau_G = ctx.saved_tensors
        scale = grads[0] * 4 / (centred.shape[2] * tau_G)
        return (laplacian * scale[:, None, None]) @ centred, None
