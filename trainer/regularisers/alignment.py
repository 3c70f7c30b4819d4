"""REPA (Yu et al. 2025, arXiv:2410.06940): tokens of one block, projected, point where a frozen encoder's features do.

The loss is the mean over images and tokens of minus the cosine between the two; the projector is three linear layers
with SiLU between; both as in the public code. The encoder sees the clean image, the network a noised one. Where their
grids differ, the features are pooled to that of the tokens; the public code resizes the images instead.

Shapes: K lanes, B batch, N tokens, D width of the tokens, F width of the features
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones.layers import initial, linear, product
from trainer.backbones.protocol import Backbone, Layout
from trainer.recipe import Alignment
from trainer.regularisers.lanes import rows_of
from trainer.regularisers.protocol import Added, State


class Targets(Protocol):
    """A frozen encoder."""

    @property
    def width(self) -> int:
        """Features of a place, F."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features [M, F, h, w] of images [M, C, H, W], without gradient."""


def alignment_loss(projected_KBNF: Tensor, features_KBNF: Tensor) -> Tensor:
    """Return the loss of each lane, [K], from -1 to 1, in float32 (float64 is kept).

    >>> tokens = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]]]])
    >>> alignment_loss(tokens, 3 * tokens), alignment_loss(tokens, -tokens)
    (tensor([-1.]), tensor([1.]))
    """
    wide = torch.float64 if projected_KBNF.dtype == torch.float64 else torch.float32
    projected, features = (F.normalize(part.to(wide), dim=-1) for part in (projected_KBNF, features_KBNF))
    return -(projected * features).sum(-1).mean((1, 2))


class AlignmentTerm:
    """Lambda times the alignment of each lane's block, by a projector of its own. Lanes with lambda 0 cost nothing."""

    recorded = ("alignment_loss",)
    counted = ()

    def __init__(
        self, settings: Sequence[Alignment], backbone: Backbone, targets: Targets, device: torch.device
    ) -> None:
        """Raise ValueError where lanes' projectors differ in size, or tokens are no grid shaped as the image."""
        self._targets = targets
        self.layout = _layout(settings, backbone, targets.width)
        self._lam = torch.tensor([each.lam for each in settings], device=device)
        self._nothing = torch.where(self._lam > 0, 0.0, torch.nan)
        lanes: dict[int, list[int]] = defaultdict(list)
        for lane, each in enumerate(settings):
            if each.lam > 0:
                lanes[each.block].append(lane)
        self._lanes = {tap: torch.tensor(rows, device=device) for tap, rows in lanes.items()}
        self._grids = {tap: _grid(backbone.tap_shapes[tap].tokens, backbone.shape) for tap in lanes}
        self.taps = frozenset(lanes)

    def initial_state(self, generator: torch.Generator) -> State:
        """Return a projector: Xavier-uniform factors and biases of 0, as the public code has them."""
        return State({name: initial(name, slot.shape, generator) for name, slot in self.layout.items()}, {})

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,
        state: State,
        progress: Tensor | None = None,  # noqa: ARG002 - the weight is the same at every step
    ) -> Added:
        """Return the losses."""
        term: Tensor | None = None
        for tap, lanes in self._lanes.items():
            weights = {name: rows_of(weight, lanes) for name, weight in state.weights.items()}
            features = self._features(rows_of(images, lanes), self._grids[tap])
            each = alignment_loss(_projected(weights, rows_of(taps[tap], lanes)), features)
            before = torch.zeros_like(self._lam, dtype=each.dtype) if term is None else term
            term = before.index_add(0, lanes, each)
        shown = self._nothing if term is None else term.detach() + self._nothing
        return Added(self._lam, term, {"alignment_loss": shown}, {}, buffers={})

    def _features(self, images_KBCHW: Tensor, grid: tuple[int, int]) -> Tensor:
        maps = F.adaptive_avg_pool2d(self._targets(images_KBCHW.flatten(0, 1)), grid)
        return maps.flatten(2).mT.reshape(*images_KBCHW.shape[:2], -1, self._targets.width)


def _layout(settings: Sequence[Alignment], backbone: Backbone, features: int) -> Layout:
    layouts = [_projector(backbone.tap_shapes[each.block].width, each.hidden, features) for each in settings]
    for lane, layout in enumerate(layouts):
        if layout != layouts[0]:
            raise ValueError(
                f"lanes 0 and {lane} cannot train together, for their projectors differ in size: {_size(settings[0])} "
                f"and {_size(settings[lane])}"
            )
    return MappingProxyType(layouts[0])


def _size(setting: Alignment) -> str:
    return f"block {setting.block} with hidden {setting.hidden}"


def _projector(width: int, hidden: int, features: int) -> Layout:
    return linear("first", width, hidden) | linear("second", hidden, hidden) | linear("third", hidden, features)


def _projected(weights: Mapping[str, Tensor], tokens_KBND: Tensor) -> Tensor:
    # bf16 training hands bf16 weights in, whatever the tokens are.
    x = tokens_KBND.to(weights["first.weight"].dtype)
    return product(weights, "third", F.silu(product(weights, "second", F.silu(product(weights, "first", x)))))


def _grid(tokens: int, shape: tuple[int, int, int]) -> tuple[int, int]:
    _, height, width = shape
    if tokens == 1:
        return 1, 1
    rows = round((tokens * height / width) ** 0.5)
    if not rows or tokens % rows or rows * width != tokens // rows * height:
        raise ValueError(f"{tokens} tokens are no grid of the shape of a {height}x{width} image")
    return rows, tokens // rows
