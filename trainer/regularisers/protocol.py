"""What a regulariser is: a term that is added to an objective's loss, from representations at taps of the backbone.

Shapes: K lanes, B batch, N tokens, D width
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor


class Added(NamedTuple):
    """`weight` times `term`, both [K], is added to the loss, or nothing where there is no term.

    `recorded` are values by name whose running means are kept, `counted` are conditions whose share of all steps is;
    each [K] and without gradient, NaN (false) for a lane that the regulariser leaves alone.
    """

    weight: Tensor
    term: Tensor | None
    recorded: Mapping[str, Tensor]
    counted: Mapping[str, Tensor]


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

    def __call__(self, taps: Mapping[int, Tensor]) -> Added:
        """Return what is added for representations [K, B, N, D] by tap."""
