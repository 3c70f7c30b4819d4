"""The Dispersive Loss of a cohort's lanes: those of one formula are computed as one batch.

Shapes: K lanes, B batch, N tokens, D width, M entries of the memory bank, S numbers of one entry
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout, TapShape
from trainer.recipe import Dispersion
from trainer.regularisers.floor import at_floor
from trainer.regularisers.formula import Formula
from trainer.regularisers.lam_schedule import LamSchedule
from trainer.regularisers.lanes import rows_of
from trainer.regularisers.memory_bank import Bank, fill_level, fill_levels, renewed
from trainer.regularisers.protocol import NO_TAPS, STATELESS, Added, State

ENTRIES, FILLED = "bank", "bank_filled"  # a lane's buffers, where it has a memory bank: [M, S] and a number


class _Group(NamedTuple):
    # (lane, tap) pairs of one formula, tap by tap. `lanes_of` has the lanes by tap and by where in their banks' entries
    # the tap's representations begin, which is 0 for all without a bank.
    formula: Formula
    lanes: Tensor
    lanes_of: dict[tuple[int, int], Tensor]
    tau: Tensor

    def gather(self, taps: Mapping[int, Tensor]) -> Tensor:
        """Return the pairs' representations, [pairs, B, N * D]: one selection per tap, none where it has all lanes."""
        parts = [self.formula.features_of(rows_of(taps[tap], lanes)) for (tap, _), lanes in self.lanes_of.items()]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def gather_bank(self, bank: Bank | None) -> Bank | None:
        """Return the pairs' parts of their lanes' banks."""
        if bank is None or not self.formula.bank:
            return None
        size = self.formula.shape.elements
        parts = [
            rows_of(bank.entries, lanes)[:, :, first : first + size] for (_, first), lanes in self.lanes_of.items()
        ]
        return Bank(torch.cat(parts) if len(parts) > 1 else parts[0], bank.filled.index_select(0, self.lanes))

    def write(self, z_KBE: Tensor, batch_KBS: Tensor) -> None:
        """Write the pairs' representations to their columns of the banks' new entries."""
        size, begun = self.formula.shape.elements, 0
        for (_, first), lanes in self.lanes_of.items():
            part = z_KBE[begun : begun + len(lanes)].to(batch_KBS.dtype)
            batch_KBS[:, :, first : first + size].index_copy_(0, lanes, part)
            begun += len(lanes)


class DispersiveTerm:
    """Lambda times the Dispersive Loss of each lane's taps. Lanes with lambda 0 cost nothing; the others' are gathered.

    A lane's loss is the mean over its taps, so lambda keeps its meaning. Memory banks of all lanes have one size.
    """

    recorded = ("dispersive_loss", "floor_distance")
    counted = ("floor_share",)
    layout: Layout = MappingProxyType({})
    views = 1

    def __init__(
        self, settings: Sequence[Dispersion], batch: int, shapes: Sequence[TapShape], device: torch.device
    ) -> None:
        """`shapes` are those of the taps. Raises ValueError for lanes whose memory banks differ in size."""
        self._schedule = LamSchedule(settings, device)
        self._bank, self._batch = _bank_size(settings, shapes), batch
        lam = self._schedule.peak
        self._taps_of_lane = torch.tensor([len(each.blocks) for each in settings], device=device)
        widest = max(shape.elements for shape in shapes)
        pairs: dict[Formula, list[_Pair]] = defaultdict(list)
        for lane, each in enumerate(settings):
            for place, tap in enumerate(each.blocks if each.lam > 0 else ()):
                formula = Formula.of(each, shapes[tap], batch)
                pairs[formula].append(_Pair(lane, tap, place * widest if formula.bank else 0, each.tau))
        self._groups = [_group(formula, members, device) for formula, members in pairs.items()]
        self.taps = frozenset(tap for group in self._groups for tap, _ in group.lanes_of)
        # What does not change from step to step; NaN for lanes without dispersion.
        self._nothing = torch.where(lam > 0, 0.0, torch.nan)
        self._floor, self._span = self._bounds()

    def initial_state(self, generator: torch.Generator) -> State:  # noqa: ARG002 - an empty bank, or nothing
        """Return an empty memory bank, where lanes have one."""
        if self._bank is None:
            return STATELESS
        return State({}, {ENTRIES: torch.zeros(self._bank), FILLED: torch.tensor(0)})

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor | None = None,  # noqa: ARG002 - a function of the taps, the bank and the time
        state: State = STATELESS,
        second: Mapping[int, Tensor] = NO_TAPS,  # noqa: ARG002 - one view is enough
        progress: Tensor | None = None,
    ) -> Added:
        """Return the losses, their distance from the floor, and whether they are at it while lambda is above 0."""
        lam = self._schedule.at(progress)
        bank = None if self._bank is None else Bank(state.buffers[ENTRIES], state.buffers[FILLED])
        batch_KBS = None if bank is None else self._nothing_of(bank)
        dispersive: Tensor | None = None
        for group in self._groups:
            z_KBE = group.gather(taps)
            each = group.formula.loss(z_KBE, group.tau, group.gather_bank(bank))
            before = torch.zeros_like(lam, dtype=each.dtype) if dispersive is None else dispersive
            dispersive = before.index_add(0, group.lanes, each)
            if batch_KBS is not None:
                group.write(z_KBE.detach(), batch_KBS)
        buffers = {} if bank is None or batch_KBS is None else _named(renewed(bank, batch_KBS))
        if dispersive is None:
            return self._added(lam, None, self._nothing, bank, buffers)
        dispersive = dispersive / self._taps_of_lane
        return self._added(lam, dispersive, dispersive.detach() + self._nothing, bank, buffers)

    def _nothing_of(self, bank: Bank) -> Tensor:
        lanes, _, size = bank.entries.shape
        return bank.entries.new_zeros(lanes, self._batch, size)

    def _added(
        self, lam: Tensor, term: Tensor | None, shown: Tensor, bank: Bank | None, buffers: Mapping[str, Tensor]
    ) -> Added:
        floor, span = self._floor, self._span
        if bank is not None:
            level = fill_level(bank.filled, self._batch)[:, None]
            floor, span = (each.gather(1, level).squeeze(1) for each in (floor, span))
        above = shown - floor
        recorded = {"dispersive_loss": shown, "floor_distance": above}
        counted = {"floor_share": self._schedule.acts(lam, at_floor(above, span))}
        return Added(lam, term, recorded, counted, buffers)

    def _bounds(self) -> tuple[Tensor, Tensor]:
        # The bounds of a mean over taps: the mean of their bounds. With a bank, one for each level it may be filled to.
        lam, levels = self._schedule.peak, None
        shape = lam.shape
        if self._bank is not None:
            levels = torch.tensor(fill_levels(self._bank[0], self._batch), dtype=torch.float64, device=lam.device)
            shape = torch.Size([*lam.shape, *levels.shape])
        floor, span = (torch.zeros(shape, dtype=torch.float64, device=lam.device) for _ in range(2))
        for group in self._groups:
            bounds = group.formula.bounds(group.tau.double(), 0 if levels is None else levels)
            floor.index_add_(0, group.lanes, bounds.floor)
            span.index_add_(0, group.lanes, bounds.span)
        taps, nothing = self._taps_of_lane, self._nothing
        if levels is not None:
            taps, nothing = taps[:, None], nothing[:, None]
        means = ((each / taps).to(lam) + nothing for each in (floor, span))
        return next(means), next(means)


class _Pair(NamedTuple):
    lane: int
    tap: int
    first: int
    tau: float


def _named(bank: Bank) -> dict[str, Tensor]:
    return {ENTRIES: bank.entries, FILLED: bank.filled}


def _bank_size(settings: Sequence[Dispersion], shapes: Sequence[TapShape]) -> tuple[int, int] | None:
    """Return how many entries a lane's bank has, and how many numbers an entry: one representation per tap.

    Each is counted as the model's largest tap, so that settings alone decide which lanes can train together.
    """
    for lane, each in enumerate(settings):
        if each.bank != settings[0].bank:
            sizes = " and ".join(_said(setting.bank) for setting in (settings[0], each))
            raise ValueError(
                f"lanes 0 and {lane} cannot train together, for their memory banks differ in size: {sizes}"
            )
    if settings[0].bank is None:
        return None
    entries, blocks = settings[0].bank
    return entries, blocks * max(shape.elements for shape in shapes)


def _said(bank: tuple[int, int] | None) -> str:
    return "none" if bank is None else f"{bank[0]} entries of {bank[1]} block{'s' if bank[1] > 1 else ''}"


def _group(formula: Formula, members: list[_Pair], device: torch.device) -> _Group:
    # Sorting keeps a lane's taps in rising order, so that their sum does not depend on the cohort's other lanes.
    members = sorted(members, key=lambda member: (member.tap, member.first))
    lanes_of: dict[tuple[int, int], list[int]] = defaultdict(list)
    for lane, tap, first, _ in members:
        lanes_of[tap, first].append(lane)
    return _Group(
        formula,
        torch.tensor([member.lane for member in members], device=device),
        {part: torch.tensor(lanes, device=device) for part, lanes in lanes_of.items()},
        torch.tensor([member.tau for member in members], device=device),
    )
