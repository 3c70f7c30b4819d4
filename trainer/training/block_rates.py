"""A learning rate of its own for a model's later blocks: a factor for every number among a lane's weights."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout


def rate_factors(layout: Layout, first: int, rate: float) -> Tensor:
    """Return [P] factors of the learning rate: `rate` for what belongs to block `first` or a later one, 1 elsewhere.

    Weights outside blocks, such as embeddings and the final layer, keep their rate. All factors are 1 where none of
    these blocks has weights, as with a user's taps.
    """
    parts = []
    for slot in layout.values():
        owners = torch.tensor(slot.owners)
        last = slot.shape[-1] if slot.shape else 1  # a user's module may have a parameter of no dimension
        each = torch.where(owners >= first, rate, 1.0).repeat_interleave(last // len(owners))
        parts.append(each.expand(slot.shape or (1,)).flatten())
    return torch.cat(parts)
