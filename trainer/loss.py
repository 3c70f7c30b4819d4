"""What a lane minimises: velocity regression plus lambda times the Dispersive Loss of its blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainer.dispersion import dispersive_loss
from trainer.model import Output
from trainer.recipe import Dispersion, TauUnits, Variant


class Losses(NamedTuple):
    """Per lane, [K]: what is minimised, its two parts, and the dispersive part's distance from its floor and span.

    All but the first carry no gradient; the last three are NaN for a lane without dispersion.
    """

    total: Tensor
    velocity: Tensor
    dispersive: Tensor
    above_floor: Tensor
    span: Tensor


class _Group(NamedTuple):
    # (lane, block) pairs that share a formula; computed as one batch.
    variant: Variant
    units: TauUnits
    lanes: list[int]
    blocks: list[int]
    tau: Tensor


class TrainingLoss:
    """The losses of a cohort's living lanes. Lanes with lambda 0 cost nothing; the others' blocks are gathered.

    `blocks` are those whose tokens the output must hold.
    """

    DISPERSED: ClassVar = frozenset({"dispersive_loss", "floor_distance", "floor_share"})

    def __init__(self, dispersions: Sequence[Dispersion], device: torch.device) -> None:
        self._lam = torch.tensor([each.lam for each in dispersions], device=device)
        self._blocks = torch.tensor([len(each.blocks) for each in dispersions], device=device)
        pairs: dict[tuple[Variant, TauUnits], list[tuple[int, int, float]]] = defaultdict(list)
        for lane, each in enumerate(dispersions):
            if each.lam > 0:
                pairs[each.variant, each.tau_units] += [(lane, block, each.tau) for block in each.blocks]
        self._groups = []
        for (variant, units), members in pairs.items():
            lanes, blocks, tau = zip(*members, strict=True)
            self._groups.append(_Group(variant, units, list(lanes), list(blocks), torch.tensor(tau, device=device)))
        self._rows = [torch.tensor(group.lanes, device=device) for group in self._groups]
        self.blocks = frozenset(block for group in self._groups for block in group.blocks)

    def __call__(self, output: Output, target_KBCHW: Tensor) -> Losses:
        """Return the losses; several blocks of a lane count by their mean, so lambda keeps its meaning."""
        velocity = (output.velocity - target_KBCHW).square().mean((1, 2, 3, 4))
        nothing = torch.where(self._lam > 0, 0.0, torch.nan)
        if not self._groups:
            return Losses(velocity, velocity.detach(), nothing, nothing, nothing)
        dispersive, above, span = (torch.zeros_like(velocity) for _ in range(3))
        for group, rows in zip(self._groups, self._rows, strict=True):
            z = torch.stack([output.tokens[b][k].flatten(1) for k, b in zip(group.lanes, group.blocks, strict=True)])
            part = dispersive_loss(z, group.tau, group.variant, group.units)
            dispersive = dispersive.index_add(0, rows, part.loss)
            above = above.index_add(0, rows, part.above_floor)
            span = span.index_add(0, rows, part.span)
        dispersive, above, span = (part / self._blocks for part in (dispersive, above, span))
        total = velocity + self._lam * dispersive
        return Losses(total, velocity.detach(), dispersive.detach() + nothing, above + nothing, span + nothing)
