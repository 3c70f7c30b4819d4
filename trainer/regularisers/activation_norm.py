"""A penalty on the size of a block's representation, and nothing else: a plain control for the Dispersive Loss.

Activation regularisation (Merity et al. 2017, arXiv:1708.01009) of a block's tokens, as its public code has it: the
mean of the squares, without the dropout mask. Larger features alone lower the Dispersive Loss of raw features, so an
arm with a penalty on size says whether size matters by itself.

Shapes: K lanes, B batch, N tokens, D width
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout
from trainer.recipe import ActivationNorm
from trainer.regularisers.protocol import NO_TAPS, STATELESS, Added, State
from trainer.regularisers.representation import widened


def mean_square(z_KBND: Tensor) -> Tensor:
    """Return |z|^2 / D, the mean over samples and tokens, of each lane, [K], in float32 (float64 is kept).

    >>> mean_square(torch.tensor([[[[3.0, 4.0], [0.0, 0.0]]]]))
    tensor([6.2500])
    """
    return widened(z_KBND).square().mean((1, 2, 3))


class ActivationNormTerm:
    """Lambda times the mean square of the recipe's block, in every lane."""

    recorded = ActivationNorm.recorded
    counted = ()
    views = 1
    layout: Layout = MappingProxyType({})

    def __init__(self, tap: int, lam_K: Tensor) -> None:
        """`tap` is the block's index."""
        self._tap, self._lam = tap, lam_K
        self.taps = frozenset({tap})

    def initial_state(self, generator: torch.Generator) -> State:  # noqa: ARG002 - there is none
        """Return no weights and no buffers."""
        return STATELESS

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,  # noqa: ARG002 - a function of the taps alone
        state: State,  # noqa: ARG002
        second: Mapping[int, Tensor] = NO_TAPS,  # noqa: ARG002 - one view is enough
        progress: Tensor | None = None,  # noqa: ARG002 - the weight is the same at every step
    ) -> Added:
        """Return the mean squares."""
        term = mean_square(taps[self._tap])
        return Added(self._lam, term, {"activation_norm": term.detach()}, {}, buffers={})
