"""The weights of K lanes in one flat buffer [K, P], seen through named views.

One buffer makes AdamW, EMA and the checkpoint one operation each, however many tensors the model has, and makes
dropping a lane one row selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

Layout = Mapping[str, tuple[int, ...]]


def views(flat_KP: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return each parameter of `layout` as a view [K, *shape] of the flat buffer, in the layout's order."""
    named, start = {}, 0
    for name, shape in layout.items():
        size = prod(shape)
        named[name] = flat_KP[:, start : start + size].view(flat_KP.shape[0], *shape)
        start += size
    return named


def leaves(flat_KP: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return views that autograd treats as leaves: what changes the buffer changes them."""
    return {name: view.requires_grad_(True) for name, view in views(flat_KP.detach(), layout).items()}


def flatten(named: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """Return one lane's parameters, each shaped as in `layout`, as a vector [P]."""
    return torch.cat([named[name].reshape(-1) for name in layout])
