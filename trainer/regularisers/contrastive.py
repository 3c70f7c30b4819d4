"""A contrastive loss between two noised views of an image, with the other images of the batch as negatives.

Wang & He 2025, arXiv:2506.09027, compare the Dispersive Loss, which has no positive pairs, with a loss that has. Its
form is SimCLR's (Chen et al. 2020, arXiv:2002.05709, eq. 1): of 2B representations each is to find its partner among
the 2B - 1 others. As with the Dispersive Loss the representation is that of the block itself, without a projector, and
D_ij = |z_i - z_j|^2 / d; the regression loss is of the first view alone.

Shapes: K lanes, B batch, N tokens, D width, E elements of one representation (N * D)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.backbones.protocol import Layout
from trainer.recipe import Contrastive
from trainer.recipe.auxiliary_losses import ContrastiveDistance
from trainer.regularisers.protocol import NO_TAPS, STATELESS, Added, State
from trainer.regularisers.representation import squared_distances, widened


def contrastive_loss(first_KBE: Tensor, second_KBE: Tensor, tau: float, distance: ContrastiveDistance) -> Tensor:
    """Return the loss of each lane, [K], in float32 (float64 is kept); log(2B - 1) where all are equally far.

    >>> one, other = torch.tensor([[[9.0], [-9.0]]]), torch.tensor([[[8.0], [-8.0]]])
    >>> near, crossed = (contrastive_loss(one, view, 1.0, "l2") for view in (other, -other))
    >>> bool(near < 1e-3), bool(crossed > 100)
    (True, True)
    """
    batch = first_KBE.shape[1]
    with torch.autocast(first_KBE.device.type, enabled=False):
        z_KME = widened(torch.cat([first_KBE, second_KBE], 1))
        similar_KMM = _similarity(z_KME, distance) / tau
        itself = torch.eye(2 * batch, dtype=torch.bool, device=z_KME.device)
        partners_KB = similar_KMM[:, :batch, batch:].diagonal(dim1=1, dim2=2)
        others_KM = similar_KMM.masked_fill(itself, -torch.inf).logsumexp(2)
        return others_KM.mean(1) - partners_KB.mean(1)


def _similarity(z_KME: Tensor, distance: ContrastiveDistance) -> Tensor:
    match distance:
        case "l2":
            return -squared_distances(z_KME)
        case "cosine":
            unit = normalize(z_KME, dim=2)
            return unit @ unit.mT
        case _:
            assert_never(distance)


class ContrastiveTerm:
    """Lambda times the contrastive loss of the recipe's block, in every lane."""

    recorded = Contrastive.recorded
    counted = ()
    views = 2
    layout: Layout = MappingProxyType({})

    def __init__(self, recipe: Contrastive, tap: int, lam_K: Tensor) -> None:
        """`tap` is the block's index."""
        self._recipe, self._tap, self._lam = recipe, tap, lam_K
        self.taps = frozenset({tap})

    def initial_state(self, generator: torch.Generator) -> State:  # noqa: ARG002 - there is none
        """Return no weights and no buffers."""
        return STATELESS

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,  # noqa: ARG002 - a function of the taps alone
        state: State,  # noqa: ARG002
        second: Mapping[int, Tensor] = NO_TAPS,
        progress: Tensor | None = None,  # noqa: ARG002 - the weight is the same at every step
    ) -> Added:
        """Return the losses."""
        first, other = (view[self._tap].flatten(2) for view in (taps, second))
        term = contrastive_loss(first, other, self._recipe.tau, self._recipe.distance)
        return Added(self._lam, term, {"contrastive_loss": term.detach()}, {}, buffers={})
