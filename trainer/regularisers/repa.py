"""REPA (Yu et al. 2025, arXiv:2410.06940): align one block's projected tokens with a frozen encoder's features.

The loss is the mean over images and tokens of minus the cosine between the two; the projector is three linear layers
with SiLU between; both as in the public code. The encoder sees the clean image, the network a noised one. Where their
grids differ, the features are pooled to that of the tokens; the public code resizes the images instead.

Shapes: K lanes, B batch, S seeds, N tokens, D width of the tokens, F width of the features
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones.layers import initial, linear, product
from trainer.backbones.protocol import Backbone, Layout
from trainer.recipe import Repa
from trainer.regularisers.lanes import rows_of
from trainer.regularisers.protocol import NO_TAPS, Added, State
from trainer.regularisers.representation import widened


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
    projected = widened(projected_KBNF)
    projected, features = (F.normalize(part, dim=-1) for part in (projected, features_KBNF.to(projected.dtype)))
    return -(projected * features).sum(-1).mean((1, 2))


class RepaTerm:
    """Lambda times the alignment loss at the recipe's block; each lane has its own projector."""

    recorded = Repa.recorded
    counted = ()
    views = 1

    def __init__(
        self, repa: Repa, tap: int, lam_K: Tensor, backbone: Backbone, targets: Targets, seeds_K: Sequence[int]
    ) -> None:
        """Raise ValueError where the tokens of the block, `tap`, form no grid with the image's proportions."""
        self._targets, self._tap, self._lam = targets, tap, lam_K
        shape, device = backbone.tap_shapes[tap], lam_K.device
        self.layout: Layout = MappingProxyType(_projector(shape.width, repa.hidden, targets.width))
        self._grid = _grid(shape.tokens, backbone.shape)
        self.taps = frozenset({tap})
        # Lanes of a seed train on the same images, which the encoder then sees once.
        seeds = list(dict.fromkeys(seeds_K))
        self._first_S = torch.tensor([seeds_K.index(seed) for seed in seeds], device=device)
        self._seed_K = torch.tensor([seeds.index(seed) for seed in seeds_K], device=device)

    def initial_state(self, generator: torch.Generator) -> State:
        """Return a projector: Xavier-uniform factors and biases of 0, as the public code has them."""
        return State({name: initial(name, slot.shape, generator) for name, slot in self.layout.items()}, {})

    def __call__(
        self,
        taps: Mapping[int, Tensor],
        images: Tensor,
        state: State,
        second: Mapping[int, Tensor] = NO_TAPS,  # noqa: ARG002 - one view is enough
        progress: Tensor | None = None,  # noqa: ARG002 - the weight is the same at every step
    ) -> Added:
        """Return the losses."""
        projected = _projected(state.weights, taps[self._tap])
        term = alignment_loss(projected, self._features(images))
        return Added(self._lam, term, {"alignment_loss": term.detach()}, {}, buffers={})

    def _features(self, images_KBCHW: Tensor) -> Tensor:
        images_SBCHW = rows_of(images_KBCHW, self._first_S)
        maps = F.adaptive_avg_pool2d(self._targets(images_SBCHW.flatten(0, 1)), self._grid)
        features_SBNF = maps.flatten(2).mT.reshape(*images_SBCHW.shape[:2], -1, self._targets.width)
        everyone = len(self._first_S) == len(self._seed_K)
        return features_SBNF if everyone else features_SBNF.index_select(0, self._seed_K)


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
        raise ValueError(f"{tokens} tokens do not form a grid with the aspect ratio of a {height}x{width} image")
    return rows, tokens // rows
