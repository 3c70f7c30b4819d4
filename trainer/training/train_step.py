"""One optimiser step of K lanes, in which the host decides nothing, so that a GPU can replay it.

Values that change from step to step arrive as `Inputs`; weights are in buffers at fixed addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import Shadow, leaves, views
from trainer.backbones.protocol import Backbone, Network
from trainer.objectives.protocol import Objective
from trainer.recipe import TrainRecipe
from trainer.recipe.blocks import block_index
from trainer.regularisers.protocol import NO_TAPS, Regulariser, State
from trainer.training.batches import Batch
from trainer.training.block_rates import rate_factors
from trainer.training.ema import update_ema
from trainer.training.lane_state import LaneState
from trainer.training.running_means import RunningMeans
from trainer.training.second_view import drawn_anew

OWN = "regulariser:"  # before the names of a regulariser's weights: no torch parameter can have this name


class Inputs(NamedTuple):
    """One step's input: the lanes' batch [K, B, ...], the learning rate, and the share of new weights in the average.

    The two rates are numbers, or tensors of no dimension where they must not come from the host. `progress`, such a
    tensor always, is the share of all steps that were taken before.
    """

    batch: Batch
    lr: float | Tensor
    share: float | Tensor
    progress: Tensor


class TrainStep:
    """The optimiser step: forward, backward, AdamW, average, buffers, means, all in place in `learnt` and `means`."""

    def __init__(
        self,
        backbone: Backbone,
        objective: Objective,
        regulariser: Regulariser,
        train: TrainRecipe,
        learnt: LaneState,
        means: RunningMeans,
        step: int,
        compiled: bool = False,
    ) -> None:
        """Continue after `step` optimiser steps.

        `compiled` fuses kernels with torch.compile, which takes a minute or so for every number of lanes.
        """
        self.learnt, self.means, self._clip = learnt, means, train.clip
        self._objective, self._taps, self._views = objective, regulariser.taps, regulariser.views
        self._regulariser = torch.compile(regulariser.__call__, dynamic=False) if compiled else regulariser
        flat, low = learnt.weights, train.precision == "bf16"
        self._flat = flat
        self._averaged = flat[:, : learnt.ema.shape[1]]
        layout = {**backbone.layout, **{f"{OWN}{name}": slot for name, slot in regulariser.layout.items()}}
        parameter = torch.nn.Parameter(flat)
        self._grad = parameter.grad = torch.zeros_like(flat)
        self._grad_views = list(views(self._grad, layout).values())
        self._shadow = Shadow(flat, layout) if low else None
        self._leaves = self._shadow.leaves if self._shadow else leaves(flat, layout)
        network = {name: self._leaves[name] for name in backbone.layout}
        self._network = Network(backbone, network, low, compiled)
        self._state = State({name: self._leaves[f"{OWN}{name}"] for name in regulariser.layout}, learnt.buffers)
        self._rates = _rates(backbone, train, flat)
        # PyTorch's optimiser cannot drop rows of a parameter, so every set of living lanes has one of its own.
        self._optimiser = torch.optim.AdamW(
            [parameter],
            betas=(train.beta1, train.beta2),
            weight_decay=train.weight_decay,
            fused=True,
            capturable=flat.device.type == "cuda",
        )
        self._optimiser.state[parameter] = {
            # Whatever the weights are: the fused kernel reads it as float32.
            "step": torch.tensor(float(step), dtype=torch.float32, device=flat.device),
            "exp_avg": learnt.exp_avg,
            "exp_avg_sq": learnt.exp_avg_sq,
        }

    def __call__(self, inputs: Inputs) -> None:
        """Take one step."""
        images, labels, draws = inputs.batch
        if self._shadow:
            self._shadow.refresh()
        learning = self._objective.loss(self._network, images, labels, draws, self._taps)
        second = self._second_view(inputs.batch) if self._views > 1 else NO_TAPS
        added = self._regulariser(learning.taps, images, self._state, second, inputs.progress)
        total = learning.loss if added.term is None else torch.addcmul(learning.loss, added.weight, added.term)
        # A regulariser's weights are unused where no living lane has it; an unused backbone weight would be a bug.
        zeros = bool(self._state.weights)
        self._collect(torch.autograd.grad(total.sum(), list(self._leaves.values()), materialize_grads=zeros))
        if self._clip is not None:
            _clip(self._grad, self._clip)
        for group in self._optimiser.param_groups:
            group["lr"] = inputs.lr
        self._update()
        update_ema(self.learnt.ema, self._averaged, inputs.share)
        for name, buffer in self.learnt.buffers.items():
            buffer.copy_(added.buffers[name].detach())
        self.means.add({**learning.recorded, **added.recorded}, added.counted)

    def _update(self) -> None:
        """Let AdamW update the weights; where blocks have their own rates, apply that fraction of the update."""
        if self._rates is None:
            self._optimiser.step()
            return
        # Decay and step are both proportional to the rate: a fraction of the update is the step at that rate.
        before = self._flat.clone()
        self._optimiser.step()
        torch.lerp(before, self._flat, self._rates, out=self._flat)

    def _second_view(self, batch: Batch) -> Mapping[int, Tensor]:
        # The prediction is unused: autograd skips whatever only it needs.
        x, condition = self._objective.seen(batch.images, batch.labels, drawn_anew(batch.draws))
        return self._network(x, condition, self._taps).taps

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


def _rates(backbone: Backbone, train: TrainRecipe, flat_KP: Tensor) -> Tensor | None:
    """Return a learning-rate factor for every weight of a lane, 1 for the regulariser's; None where all are 1."""
    if (later := train.later_blocks) is None:
        return None
    factors = rate_factors(backbone.layout, block_index(later.block, backbone.taps), later.rate)
    behind = torch.ones(flat_KP.shape[1] - len(factors))
    return torch.cat([factors, behind]).to(flat_KP)


def _clip(grad_KP: Tensor, most: float) -> None:
    """Scale down the lanes' gradients whose norm is above `most`, each by itself, as torch's clip_grad_norm_ does."""
    norm_K = torch.linalg.vector_norm(grad_KP, dim=1, keepdim=True)
    grad_KP.mul_((most / (norm_K + 1e-6)).clamp_max(1))
