"""The weights of K lanes in one flat buffer [K, P], seen through named views.

One buffer makes AdamW, EMA and the checkpoint one operation each, however many tensors the model has, and makes
dropping a lane one row selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from trainer.backbones.protocol import Layout
from trainer.errors import DataError

Shapes = Mapping[str, list[int]]


def views(flat_KP: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return each parameter of `layout` as a view [K, *shape] of the flat buffer, in the layout's order."""
    named, start = {}, 0
    for name, slot in layout.items():
        size = prod(slot.shape)
        named[name] = flat_KP[:, start : start + size].view(flat_KP.shape[0], *slot.shape)
        start += size
    return named


def leaves(flat_KP: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return views that autograd treats as leaves; they share the buffer's memory."""
    return {name: view.requires_grad_(True) for name, view in views(flat_KP.detach(), layout).items()}


class Shadow:
    """A bfloat16 copy of a flat buffer, made in one operation; `leaves` are views of it where products use it.

    Autocast would cast every tensor at every use. Gradients come back in bfloat16, as through its casts; embeddings,
    which no product uses, stay views of the buffer itself.
    """

    def __init__(self, flat_KP: Tensor, layout: Layout) -> None:
        self._flat = flat_KP.detach()
        # Padded, so that every lane starts where fast products can: at a multiple of 16 bytes.
        lanes, size = self._flat.shape
        padded = -(-size // 8) * 8
        self._low = torch.empty(lanes, padded, dtype=torch.bfloat16, device=self._flat.device)[:, :size]
        whole, low = leaves(self._flat, layout), leaves(self._low, layout)
        self.leaves = {name: low[name] if slot.is_factor else whole[name] for name, slot in layout.items()}

    def refresh(self) -> None:
        """Copy the buffer's current contents."""
        self._low.copy_(self._flat)


def flatten(named: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """Return one lane's parameters, each shaped as in `layout`, as a vector [P]."""
    return torch.cat([named[name].reshape(-1) for name in layout])


def named_weights(state: Mapping[str, Tensor], layout: Layout, place: str) -> dict[str, Tensor]:
    """Return a state dict's tensors in float32; raise DataError, which names `place`, where it is another network's."""
    shapes = {name: [*tensor.shape] for name, tensor in state.items()}
    expected = {name: [*slot.shape] for name, slot in layout.items()}
    refuse_names(shapes, expected, place, "these are not this network's weights")
    refuse_shapes(shapes, expected, place)
    return {name: state[name].float() for name in layout}


def refuse_names(shapes: Shapes, expected: Shapes, place: str, says: str) -> None:
    """Raise DataError, which names `place`, where tensors are missing or too many; `says` is the explanation."""
    if odd := sorted(shapes.keys() ^ expected.keys()):
        whose = "there and not expected" if odd[0] in shapes else "missing"
        raise DataError(f"{place}: {says}: {odd[0]} is {whose}")


def refuse_shapes(shapes: Shapes, expected: Shapes, place: str) -> None:
    """Raise DataError, which names `place`, for the first tensor of another shape."""
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise DataError(f"{place}: {name} has the shape {shapes[name]}, not the expected {shape}")
