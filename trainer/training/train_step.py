"""One optimiser step of K lanes, with nothing in it that the host must decide: a GPU can replay it.

What changes from step to step arrives as `Inputs`; what is learnt lies in buffers that stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import Shadow, leaves, views
from trainer.backbones.sit import SiT
from trainer.objectives.interpolant import interpolate
from trainer.recipe import Dispersion, TrainRecipe
from trainer.training.batches import Batch
from trainer.training.ema import update_ema
from trainer.training.loss import TrainingLoss
from trainer.training.running_means import Tallies


class Inputs(NamedTuple):
    """One step's input: the lanes' batch [K, B, ...], the learning rate, and the share of new weights in the average.

    The two rates are numbers, or tensors of no dimension where they must not come from the host.
    """

    batch: Batch
    lr: float | Tensor
    share: float | Tensor


class Learnt(NamedTuple):
    """What lanes have learnt, each [K, P]: weights, their average, and AdamW's two moments."""

    weights: Tensor
    ema: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor

    @classmethod
    def initial(cls, weights: Tensor) -> Learnt:
        """Return lanes that have learnt nothing yet."""
        return cls(weights, weights.clone(), torch.zeros_like(weights), torch.zeros_like(weights))

    def select(self, rows: Tensor) -> Learnt:
        """Return a copy of some lanes."""
        return Learnt(*(part.index_select(0, rows) for part in self))


class Update:
    """The optimiser step: forward, backward, AdamW, average, tallies, all in place in `learnt` and `tallies`."""

    def __init__(
        self,
        model: SiT,
        train: TrainRecipe,
        dispersions: Sequence[Dispersion],
        learnt: Learnt,
        tallies: Tallies,
        step: int,
        compiled: bool = False,
    ) -> None:
        """`step` optimiser steps were taken before.

        `compiled` fuses kernels with torch.compile, which takes a minute or so for every number of lanes.
        """
        self.learnt, self.tallies = learnt, tallies
        self._forward = torch.compile(model.__call__, dynamic=False) if compiled else model
        flat, device = learnt.weights, learnt.weights.device
        self._device = device.type
        self._low = train.precision == "bf16"
        parameter = torch.nn.Parameter(flat)
        self._grad = parameter.grad = torch.zeros_like(flat)
        self._grad_views = list(views(self._grad, model.layout).values())
        self._shadow = Shadow(flat, model.layout) if self._low else None
        self._leaves = self._shadow.leaves if self._shadow else leaves(flat, model.layout)
        # PyTorch's optimiser cannot drop rows of a parameter, so every set of living lanes has one of its own.
        self._optimiser = torch.optim.AdamW(
            [parameter],
            betas=(train.beta1, train.beta2),
            weight_decay=train.weight_decay,
            fused=True,
            capturable=device.type == "cuda",
        )
        self._optimiser.state[parameter] = {
            # Whatever the weights are: the fused kernel reads it as float32.
            "step": torch.tensor(float(step), dtype=torch.float32, device=device),
            "exp_avg": learnt.exp_avg,
            "exp_avg_sq": learnt.exp_avg_sq,
        }
        self._loss = TrainingLoss(dispersions, train.batch, model.positions_ND.numel(), device)
        self._losses = torch.compile(self._loss.__call__, dynamic=False) if compiled else self._loss

    def __call__(self, inputs: Inputs) -> None:
        """Take one step."""
        images, noise, times, labels = inputs.batch
        x_t, target = interpolate(images, noise, times)
        if self._shadow:
            self._shadow.refresh()
        with torch.autocast(self._device, torch.bfloat16, enabled=self._low):
            output = self._forward(self._leaves, x_t, times, labels, self._loss.blocks)
        losses = self._losses(output, target)
        self._collect(torch.autograd.grad(losses.total.sum(), list(self._leaves.values())))
        for group in self._optimiser.param_groups:
            group["lr"] = inputs.lr
        self._optimiser.step()
        update_ema(self.learnt.ema, self.learnt.weights, inputs.share)
        self.tallies.add(losses)

    def _collect(self, grads_KS: Sequence[Tensor]) -> None:
        # One operation: copies into the views of several lanes would be one each.
        flat = [grad.flatten(1) for grad in grads_KS]
        if self._shadow is None:
            torch.cat(flat, 1, out=self._grad)
            return
        self._grad.copy_(torch.cat([part.bfloat16() for part in flat], 1))
        for view, part in zip(self._grad_views, grads_KS, strict=True):
            if part.dtype != torch.bfloat16:
                view.copy_(part)
