"""The contract of a regulariser: a term added to the objective's loss, from representations at taps of the backbone.

It may have weights of its own, trained with the backbone's, and buffers, which it updates at every step. Both belong
to a lane: they are in its checkpoint, and move and are dropped with it. Averages, kept files and samples ignore them.

Shapes: K lanes, B batch, N tokens, D width
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout


class State(NamedTuple):
    """A regulariser's own tensors, by name: `weights` are trained, `buffers` are not.

    One lane's initial ones, or those of K lanes, [K, ...].
    """

    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


STATELESS = State({}, {})
NO_TAPS: Mapping[int, Tensor] = MappingProxyType({})


class Added(NamedTuple):
    """`weight` times `term`, both [K], is added to the loss, or nothing where there is no term.

    `recorded` are values by name whose running means are kept, `counted` are conditions whose share of all steps is;
    each [K] and without gradient, NaN (false) for a lane that the regulariser does not act on. `buffers` are all of the
    regulariser's buffers for the next step, as new tensors and not as views of the old ones.
    """

    weight: Tensor
    term: Tensor | None
    recorded: Mapping[str, Tensor]
    counted: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


class Regulariser(Protocol):
    """The term of a cohort's living lanes, each with its own setting. Lanes of weight 0 cost nothing."""

    @property
    def taps(self) -> frozenset[int]:
        """The taps whose representations are needed."""

    @property
    def recorded(self) -> tuple[str, ...]:
        """The names of the recorded values."""

    @property
    def counted(self) -> tuple[str, ...]:
        """The names of the counted conditions."""

    @property
    def layout(self) -> Layout:
        """A lane's weights, in the order they lie behind the backbone's; the same for all lanes of a cohort."""

    @property
    def views(self) -> int:
        """How many noised views of a batch it needs: 1, or 2, which cost a second forward pass."""

    def initial_state(self, generator: torch.Generator) -> State:
        """Return one lane's initial state, on the CPU: weights as in the layout, and its buffers."""

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,
        state: State,
        second: Mapping[int, Tensor] = NO_TAPS,
        progress: Tensor | None = None,
    ) -> Added:
        """Return what is added for representations [K, B, N, D] by tap, and the clean images [K, B, C, H, W] of them.

        `second` are the representations of the same images in another view, where `views` asks for one. `progress`, of
        no dimension, is the share of all optimiser steps that were taken before: from 0, below 1; without it a weight
        that changes over time is at its peak.
        A pure function of its arguments; a GPU replays it as a graph, so it must not wait for the device.
        """
