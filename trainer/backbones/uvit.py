"""U-ViT (Bao et al. 2023, arXiv:2209.12152): a transformer with long skip connections, for K lanes at once.

Time and label are tokens beside the patches. A deep block first joins its input with the output of the shallow block
that mirrors it, by a linear layer of both side by side. As in the public code positions are learnt, norms come first
and have weights, and a 3x3 convolution may follow the last layer. Unlike there all linear layers have a bias, time is
embedded by two layers, and factors begin Xavier-uniform, as in our other backbones.

Shapes: K lanes, B batch, C channels, H height, W width, N tokens of patches, T tokens of conditions, D width
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones.attention import attention
from trainer.backbones.flat_parameters import flatten, named_weights
from trainer.backbones.layers import (
    convolution,
    convolve,
    embedding,
    embeddings,
    frequencies,
    initial,
    linear,
    normalise,
    patch_grid,
    patchify,
    product,
    unpatchify,
)
from trainer.backbones.protocol import NOBODY, Conditioning, Layout, Output, Slot, TapShape
from trainer.recipe import UViTRecipe
from trainer.recipe.objective import Demands

POSITIONS = "positions"


class UViT:
    """The network as a pure function of its weights; a tap is the tokens of the patches after a block."""

    source_sha256 = ""

    def __init__(
        self,
        model: UViTRecipe,
        shape: tuple[int, int, int],
        classes: int,
        time_scale: float,
        device: torch.device,
        demands: Demands = Demands(),  # noqa: B008 - immutable
    ) -> None:
        """Raise ValueError if the patch does not divide the image; `shape` is (C, H, W)."""
        rows, columns = patch_grid(shape, model.patch)
        channels, height, width = shape
        self.recipe, self.shape, self.classes = model, shape, classes
        self.time_scale, self.demands = time_scale, demands
        self.frequencies = frequencies(device)
        self._tokens = rows * columns
        self._predicted = (demands.outputs * channels, height, width)
        self.layout: Layout = self._layout()
        self.taps = model.taps
        self.tap_shapes = (TapShape(self._tokens, model.width),) * model.depth

    def _layout(self) -> dict[str, Slot]:
        model, area = self.recipe, self.recipe.patch**2
        width, outputs = model.width, self._predicted[0]
        conditions = 3 if self.demands.has_interval else 2
        layout = {
            **linear("patch", self.shape[0] * area, width),
            **embedding(width, self.classes, self.demands.has_interval),
            POSITIONS: Slot((conditions + self._tokens, width), is_factor=False),
        }
        for block in range(model.depth):
            if block > model.middle:
                layout |= linear(f"{block}.skip", 2 * width, width, (block,))
            layout |= _norm(f"{block}.norm1", width, block) | linear(f"{block}.qkv", width, 3 * width, (block,))
            layout |= linear(f"{block}.out", width, width, (block,)) | _norm(f"{block}.norm2", width, block)
            layout |= linear(f"{block}.up", width, model.hidden, (block,))
            layout |= linear(f"{block}.down", model.hidden, width, (block,))
        layout |= _norm("norm", width) | linear("final", width, outputs * area)
        return layout | (convolution("last", outputs, outputs) if model.final_conv else {})

    def initial_weights(self, generator: torch.Generator) -> Tensor:
        """Return one lane's weights [P]: Xavier-uniform factors, positions of deviation 0.02, norms that scale by 1."""
        return flatten({name: _initial(name, slot.shape, generator) for name, slot in self.layout.items()}, self.layout)

    def __call__(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()
    ) -> Output:
        """Return the prediction at the objective's time for labels in [0, classes], where `classes` means no label."""
        kept, last = {}, x_KBCHW
        for block, last in enumerate(self.walk(weights, x_KBCHW, condition)):
            if block in taps:
                kept[block] = last
        image = unpatchify(
            product(weights, "final", _scaled(weights, "norm", last)), self.recipe.patch, self._predicted
        )
        return Output(convolve(weights, "last", image) if self.recipe.final_conv else image, kept)

    def walk(self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Yield the patches' tokens [K, B, N, D] after each block in turn."""
        conditions = torch.stack([*embeddings(weights, condition, self.time_scale, self.frequencies)], 2)
        patches_KBND = product(weights, "patch", patchify(x_KBCHW, self.recipe.patch))
        x = torch.cat([conditions, patches_KBND], 2) + weights[POSITIONS][:, None]
        shallow: list[Tensor] = []
        for block in range(self.recipe.depth):
            if block > self.recipe.middle:
                # The residual stream stays in float32 where products are in bfloat16.
                x = product(weights, f"{block}.skip", torch.cat([x, shallow.pop()], -1)).to(x.dtype)
            x = self._block(weights, block, x)
            if block < self.recipe.middle:
                shallow.append(x)
            yield x[:, :, conditions.shape[2] :]

    def state_dict(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one lane's weights under the layout's own names."""
        return {name: weights[name].contiguous() for name in self.layout}

    def from_state_dict(self, state: Mapping[str, Tensor], place: str) -> Tensor:
        """Return one lane's weights [P]; raise DataError where they are another network's."""
        return flatten(named_weights(state, self.layout, place), self.layout)

    def _block(self, weights: Mapping[str, Tensor], block: int, x: Tensor) -> Tensor:
        qkv = product(weights, f"{block}.qkv", _scaled(weights, f"{block}.norm1", x))
        x = x + product(weights, f"{block}.out", attention(qkv, self.recipe.heads, self.demands.has_interval))
        hidden = F.gelu(product(weights, f"{block}.up", _scaled(weights, f"{block}.norm2", x)))
        return x + product(weights, f"{block}.down", hidden)


def _norm(name: str, width: int, owner: int = NOBODY) -> dict[str, Slot]:
    slot = Slot((width,), is_factor=False, owners=(owner,))
    return {f"{name}.scale": slot, f"{name}.shift": slot}


def _scaled(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    scale, shift = (weights[f"{name}.{part}"][:, None, None] for part in ("scale", "shift"))
    return torch.addcmul(shift, normalise(x), scale)


def _initial(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name == POSITIONS:
        return torch.zeros(shape).normal_(0, 0.02, generator=generator)
    return torch.ones(shape) if name.endswith(".scale") else initial(name, shape, generator)
