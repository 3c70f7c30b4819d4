"""Several regularisers as one: their weighted sum, each with its own state.

Shapes: K lanes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout
from trainer.regularisers.protocol import NO_TAPS, Added, Regulariser, State

T = TypeVar("T")


class Sum:
    """The sum of `terms`, whose names stand before those of their weights and buffers: 'repa.first.weight'.

    The names that terms record must differ. Terms draw their initial states in order, so a term added at the end does
    not change the others'.
    """

    def __init__(self, terms: Mapping[str, Regulariser]) -> None:
        self.terms = terms
        every = terms.values()
        self.taps = frozenset[int]().union(*(term.taps for term in every))
        self.views = max(term.views for term in every)
        self.recorded = tuple(name for term in every for name in term.recorded)
        self.counted = tuple(name for term in every for name in term.counted)
        self.layout: Layout = MappingProxyType(_prefixed({name: term.layout for name, term in terms.items()}))

    def initial_state(self, generator: torch.Generator) -> State:
        """Return each term's initial state."""
        begun = {name: term.initial_state(generator) for name, term in self.terms.items()}
        weights = _prefixed({name: state.weights for name, state in begun.items()})
        return State(weights, _prefixed({name: state.buffers for name, state in begun.items()}))

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,
        state: State,
        second: Mapping[int, Tensor] = NO_TAPS,
        progress: Tensor | None = None,
    ) -> Added:
        """Return the sum as a term of weight 1, and what the terms record."""
        parts = {name: term(taps, images, _own(state, name), second, progress) for name, term in self.terms.items()}
        weighted = [part.weight * part.term for part in parts.values() if part.term is not None]
        return Added(
            weight=torch.ones_like(next(iter(parts.values())).weight),
            term=_total(weighted),
            recorded={name: value for part in parts.values() for name, value in part.recorded.items()},
            counted={name: value for part in parts.values() for name, value in part.counted.items()},
            buffers=_prefixed({name: part.buffers for name, part in parts.items()}),
        )


def _total(weighted: Sequence[Tensor]) -> Tensor | None:
    if not weighted:
        return None
    total, *rest = weighted
    for part in rest:
        total = total + part
    return total


def _prefixed(parts: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    return {f"{prefix}.{name}": value for prefix, part in parts.items() for name, value in part.items()}


def _own(state: State, prefix: str) -> State:
    start = f"{prefix}."
    weights, buffers = (
        {name.removeprefix(start): value for name, value in part.items() if name.startswith(start)} for part in state
    )
    return State(weights, buffers)
