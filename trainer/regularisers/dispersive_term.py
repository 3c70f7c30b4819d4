"""The Dispersive Loss of a cohort's lanes: those of one formula are computed as one batch.

Shapes: K lanes, B batch, N tokens, D width
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout
from trainer.recipe import Dispersion, TauUnits, Variant
from trainer.regularisers.bounds import at_floor, bounds
from trainer.regularisers.dispersive import dispersive_loss
from trainer.regularisers.lanes import rows_of
from trainer.regularisers.protocol import NO_TAPS, STATELESS, Added, State


class _Formula(NamedTuple):
    # What can be computed as one batch: representations of one size, by one formula, over as many samples.
    variant: Variant
    units: TauUnits
    elements: int
    samples: int

    def loss(self, z_KBE: Tensor, tau_K: Tensor) -> Tensor:
        """Return the loss [K]: where not all samples are compared, the mean over parts of the batch."""
        parts = z_KBE.shape[1] // self.samples
        if parts > 1:
            z_KBE = z_KBE.reshape(len(z_KBE) * parts, self.samples, -1)
            tau_K = tau_K.repeat_interleave(parts)
        loss = dispersive_loss(z_KBE, tau_K, self.variant, self.units)
        return loss.reshape(-1, parts).mean(1) if parts > 1 else loss


class _Group(NamedTuple):
    # (lane, tap) pairs of one formula, tap by tap.
    formula: _Formula
    lanes: Tensor
    lanes_of: dict[int, Tensor]
    tau: Tensor

    def gather(self, taps: Mapping[int, Tensor]) -> Tensor:
        """Return the pairs' representations, [pairs, B, N * D]: one selection a tap, none of all lanes."""
        parts = [rows_of(taps[tap], lanes).flatten(2) for tap, lanes in self.lanes_of.items()]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class DispersiveTerm:
    """Lambda times the Dispersive Loss of each lane's taps. Lanes with lambda 0 cost nothing; the others' are gathered.

    Several taps of a lane count by their mean, so lambda keeps its meaning.
    """

    recorded = ("dispersive_loss", "floor_distance")
    counted = ("floor_share",)
    layout: Layout = MappingProxyType({})
    views = 1

    def __init__(
        self, settings: Sequence[Dispersion], batch: int, elements: Sequence[int], device: torch.device
    ) -> None:
        """`elements` are those of one representation, tokens times width, at every tap."""
        self._lam = torch.tensor([each.lam for each in settings], device=device)
        self._taps_of_lane = torch.tensor([len(each.blocks) for each in settings], device=device)
        pairs: dict[_Formula, list[tuple[int, int, float]]] = defaultdict(list)
        for lane, each in enumerate(settings):
            for tap in each.blocks if each.lam > 0 else ():
                formula = _Formula(each.variant, each.tau_units, elements[tap], _samples(each, batch))
                pairs[formula].append((lane, tap, each.tau))
        self._groups = [_group(formula, members, device) for formula, members in pairs.items()]
        self.taps = frozenset(tap for group in self._groups for tap in group.lanes_of)
        # What does not change from step to step; NaN for lanes without dispersion.
        self._nothing = torch.where(self._lam > 0, 0.0, torch.nan)
        self._floor, self._span = self._bounds()

    def initial_state(self, generator: torch.Generator) -> State:  # noqa: ARG002 - there is none
        """Return nothing."""
        return STATELESS

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor | None = None,  # noqa: ARG002 - a function of the taps alone
        state: State = STATELESS,  # noqa: ARG002
        second: Mapping[int, Tensor] = NO_TAPS,  # noqa: ARG002
    ) -> Added:
        """Return the losses, their distance from the floor, and whether they are at it."""
        if not self._groups:
            return self._added(None, self._nothing)
        dispersive: Tensor | None = None
        for group in self._groups:
            each = group.formula.loss(group.gather(taps), group.tau)
            before = torch.zeros_like(self._lam, dtype=each.dtype) if dispersive is None else dispersive
            dispersive = before.index_add(0, group.lanes, each)
        assert dispersive is not None
        dispersive = dispersive / self._taps_of_lane
        return self._added(dispersive, dispersive.detach() + self._nothing)

    def _added(self, term: Tensor | None, shown: Tensor) -> Added:
        above = shown - self._floor
        recorded = {"dispersive_loss": shown, "floor_distance": above}
        return Added(self._lam, term, recorded, {"floor_share": at_floor(above, self._span)}, buffers={})

    def _bounds(self) -> tuple[Tensor, Tensor]:
        # Of a lane's mean over taps: the mean of their bounds.
        floor, span = (torch.zeros_like(self._lam, dtype=torch.float64) for _ in range(2))
        for group in self._groups:
            formula = group.formula
            found = bounds(group.tau.double(), formula.variant, formula.units, formula.samples, formula.elements)
            floor.index_add_(0, group.lanes, found.floor)
            span.index_add_(0, group.lanes, found.span)
        means = ((each / self._taps_of_lane).to(self._lam) + self._nothing for each in (floor, span))
        return next(means), next(means)


def _samples(setting: Dispersion, batch: int) -> int:
    samples = batch if setting.local_batch == "all" else setting.local_batch
    if batch % samples:
        raise ValueError(f"local_batch {samples} does not divide a batch of {batch}")
    return samples


def _group(formula: _Formula, members: list[tuple[int, int, float]], device: torch.device) -> _Group:
    # Sorting keeps a lane's taps in rising order, so that their sum is the same whoever else is in the cohort.
    members = sorted(members, key=lambda member: member[1])
    lanes_of: dict[int, list[int]] = defaultdict(list)
    for lane, tap, _ in members:
        lanes_of[tap].append(lane)
    return _Group(
        formula,
        torch.tensor([lane for lane, _, _ in members], device=device),
        {tap: torch.tensor(lanes, device=device) for tap, lanes in lanes_of.items()},
        torch.tensor([tau for _, _, tau in members], device=device),
    )
