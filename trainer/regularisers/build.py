"""From lanes' settings to the regulariser of their cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, assert_never

import torch

from trainer.backbones.protocol import Backbone
from trainer.recipe import Alignment, Dispersion, Regularisation
from trainer.regularisers.alignment import AlignmentTerm, Targets
from trainer.regularisers.dispersive_term import DispersiveTerm
from trainer.regularisers.protocol import Regulariser

T = TypeVar("T", Alignment, Dispersion)


def regulariser_of(
    settings: Sequence[Regularisation],
    backbone: Backbone,
    batch: int,
    targets: Callable[[], Targets],
    device: torch.device,
) -> Regulariser:
    """Return the regulariser of at least one lane; `targets` makes the frozen encoder, where one is needed.

    Raises ValueError for a block that the model does not have, and for lanes that cannot train together.
    """
    last = len(backbone.taps) - 1
    for setting in settings:
        if max(setting.blocks) > last:
            raise ValueError(f"blocks {setting.blocks}: the model has blocks 0 to {last}")
    first = settings[0]
    match first:
        case Dispersion():
            return DispersiveTerm(_all(Dispersion, settings), batch, backbone.tap_shapes, device)
        case Alignment():
            return AlignmentTerm(_all(Alignment, settings), backbone, targets(), device)
        case _:
            assert_never(first)


def _all(kind: type[T], settings: Sequence[Regularisation]) -> list[T]:
    others = [type(setting).__name__ for setting in settings if not isinstance(setting, kind)]
    if others:
        raise ValueError(f"lanes of {kind.__name__} and of {others[0]} cannot train together")
    return [setting for setting in settings if isinstance(setting, kind)]
