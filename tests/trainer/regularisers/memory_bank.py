"""A regulariser that has all a regulariser may have: a trained head, and a queue of what it made of earlier batches.

InfoNCE as in the Dispersive Loss, with the queue's entries as further negatives (as in MoCo, He et al. 2020,
arXiv:1911.05722, without its slow encoder). Settings are those of the Dispersive Loss, at one block a lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.backbones.layers import initial, linear, product
from trainer.backbones.protocol import Backbone, Layout
from trainer.recipe import Dispersion, Lane, TrainRecipe
from trainer.regularisers.protocol import NO_TAPS, Added, State

ENTRIES, WIDTH = 20, 4


class MemoryBank:
    """The queue of a lane has 20 entries of 4 numbers."""

    recorded = ("bank_loss",)
    counted = ("full_share",)
    views = 1

    def __init__(self, settings: Sequence[Dispersion], backbone: Backbone, device: torch.device) -> None:
        (width,) = {backbone.tap_shapes[each.blocks[0]].width for each in settings}
        self.layout: Layout = linear("head", width, WIDTH)
        self._taps_K = [each.blocks[0] for each in settings]
        self.taps = frozenset(self._taps_K)
        self._lam = torch.tensor([each.lam for each in settings], device=device)
        self._tau = torch.tensor([each.tau for each in settings], device=device)
        self._nothing = torch.where(self._lam > 0, 0.0, torch.nan)

    def initial_state(self, generator: torch.Generator) -> State:
        weights = {name: initial(name, slot.shape, generator) for name, slot in self.layout.items()}
        return State(weights, {"bank": torch.zeros(ENTRIES, WIDTH), "filled": torch.tensor(0)})

    def __call__(
        self, taps: Mapping[int, Tensor], _images: Tensor, state: State, _second: Mapping[int, Tensor] = NO_TAPS
    ) -> Added:
        bank, filled = state.buffers["bank"], state.buffers["filled"]
        pooled = torch.stack([taps[tap][lane].mean(1) for lane, tap in enumerate(self._taps_K)])
        z_KBE = product(state.weights, "head", pooled.to(state.weights["head.weight"].dtype)).to(bank.dtype)
        batch = z_KBE.shape[1]
        others_KNE = torch.cat([z_KBE, bank], 1)
        distances = (z_KBE[:, :, None] - others_KNE[:, None]).square().mean(3)
        places = torch.arange(batch + ENTRIES, device=bank.device)
        empty = (places >= batch) & (places < batch + ENTRIES - filled[:, None])
        exponents = (-distances / self._tau[:, None, None]).masked_fill(empty[:, None], -torch.inf)
        term = exponents.flatten(1).logsumexp(1) - ((batch + filled) * batch).log()
        queue = torch.cat([bank, z_KBE], 1)[:, -ENTRIES:]
        buffers = {"bank": queue, "filled": (filled + batch).clamp_max(ENTRIES)}
        recorded = {"bank_loss": term.detach() + self._nothing}
        return Added(self._lam, term, recorded, {"full_share": (filled == ENTRIES) & (self._lam > 0)}, buffers)


def bank_of(
    lanes: Sequence[Lane], _train: TrainRecipe, backbone: Backbone, _targets: object, device: torch.device
) -> MemoryBank:
    """Return the bank of some lanes; called as `regulariser_of`."""
    return MemoryBank([lane.setting for lane in lanes], backbone, device)
