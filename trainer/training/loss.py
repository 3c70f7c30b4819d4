"""What a lane minimises: velocity regression plus lambda times the Dispersive Loss of its blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainer.backbones.sit import Output
from trainer.recipe import Dispersion, TauUnits, Variant
from trainer.regularisers.bounds import bounds
from trainer.regularisers.dispersive import dispersive_loss


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
    # (lane, block) pairs that share a formula, block by block; computed as one batch.
    variant: Variant
    units: TauUnits
    lanes: Tensor
    lanes_of: dict[int, Tensor]
    tau: Tensor

    def gather(self, tokens: Mapping[int, Tensor]) -> Tensor:
        """Return the pairs' tokens, [pairs, B, N * D]: one selection a block, or none where all lanes are in it."""
        parts = [_rows(tokens[block], lanes).flatten(2) for block, lanes in self.lanes_of.items()]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class TrainingLoss:
    """The losses of a cohort's living lanes. Lanes with lambda 0 cost nothing; the others' blocks are gathered.

    `blocks` are those whose tokens the output must hold.
    """

    DISPERSED: ClassVar = frozenset({"dispersive_loss", "floor_distance", "floor_share"})

    def __init__(self, dispersions: Sequence[Dispersion], batch: int, elements: int, device: torch.device) -> None:
        """`elements` are those of one representation: tokens times width."""
        self._lam = torch.tensor([each.lam for each in dispersions], device=device)
        self._blocks = torch.tensor([len(each.blocks) for each in dispersions], device=device)
        pairs: dict[tuple[Variant, TauUnits], list[tuple[int, int, float]]] = defaultdict(list)
        for lane, each in enumerate(dispersions):
            if each.lam > 0:
                pairs[each.variant, each.tau_units] += [(lane, block, each.tau) for block in each.blocks]
        self._groups = [_group(*kind, members, device) for kind, members in pairs.items()]
        self.blocks = frozenset(block for group in self._groups for block in group.lanes_of)
        # What does not change from step to step; NaN for lanes without dispersion.
        self._nothing = torch.where(self._lam > 0, 0.0, torch.nan)
        self._floor, self._span = self._nothing.clone(), self._nothing.clone()
        for group in self._groups:
            found = bounds(group.tau.double(), group.variant, group.units, batch, elements)
            self._floor[group.lanes] = found.floor.to(self._floor)
            self._span[group.lanes] = found.span.to(self._span)

    def __call__(self, output: Output, target_KBCHW: Tensor) -> Losses:
        """Return the losses; several blocks of a lane count by their mean, so lambda keeps its meaning."""
        velocity = (output.velocity - target_KBCHW).square().mean((1, 2, 3, 4))
        if not self._groups:
            return Losses(velocity, velocity.detach(), self._nothing, self._nothing, self._nothing)
        dispersive = torch.zeros_like(velocity)
        for group in self._groups:
            each = dispersive_loss(group.gather(output.tokens), group.tau, group.variant, group.units)
            dispersive = dispersive.index_add(0, group.lanes, each)
        dispersive = dispersive / self._blocks
        total = torch.addcmul(velocity, self._lam, dispersive)
        shown = dispersive.detach() + self._nothing
        return Losses(total, velocity.detach(), shown, shown - self._floor, self._span)


def _group(variant: Variant, units: TauUnits, members: list[tuple[int, int, float]], device: torch.device) -> _Group:
    # Sorting keeps a lane's blocks in rising order, so that their sum is the same whoever else is in the cohort.
    members = sorted(members, key=lambda member: member[1])
    lanes_of: dict[int, list[int]] = defaultdict(list)
    for lane, block, _ in members:
        lanes_of[block].append(lane)
    return _Group(
        variant,
        units,
        torch.tensor([lane for lane, _, _ in members], device=device),
        {block: torch.tensor(lanes, device=device) for block, lanes in lanes_of.items()},
        torch.tensor([tau for _, _, tau in members], device=device),
    )


def _rows(tokens_KBND: Tensor, lanes: Tensor) -> Tensor:
    # A lane is in a block once, and lanes are in order: as many rows as lanes are all of them.
    return tokens_KBND if len(lanes) == len(tokens_KBND) else tokens_KBND.index_select(0, lanes)
