"""What a regulariser is: a term that is added to an objective's loss, from representations at taps of the backbone.

It may have weights of its own, which are trained with the backbone's, and buffers, which it renews at every step. Both
are a lane's: they are in its checkpoint, and move and go with it. Averages, kept files and samples are without them.

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
    """What a regulariser has of its own, by name: `weights` are trained, `buffers` are not.

    Of one lane as it begins, or of K lanes, [K, ...].
    """

    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


STATELESS = State({}, {})
NO_TAPS: Mapping[int, Tensor] = MappingProxyType({})


class Added(NamedTuple):
    """`weight` times `term`, both [K], is added to the loss, or nothing where there is no term.

    `recorded` are values by name whose running means are kept, `counted` are conditions whose share of all steps is;
    each [K] and without gradient, NaN (false) for a lane that the regulariser leaves alone. `buffers` are what the
    regulariser's hold from the next step on: all of them, as new tensors and not as views of the old ones.
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
        """The names of what is recorded."""

    @property
    def counted(self) -> tuple[str, ...]:
        """The names of what is counted."""

    @property
    def layout(self) -> Layout:
        """A lane's weights, in the order they lie behind the backbone's; the same for all lanes of a cohort."""

    @property
    def views(self) -> int:
        """How many noised views of a batch it looks at: 1, or 2, which cost a second forward pass."""

    def initial_state(self, generator: torch.Generator) -> State:
        """Return what one lane begins with, on the CPU: weights as in the layout, and its buffers."""

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
        A function of what it is given, and of it alone; a GPU replays it, so it asks the device for nothing.
        """
