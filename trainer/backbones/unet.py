"""A small convolutional U-Net (Ronneberger et al. 2015; residual blocks as in Ho et al. 2020), for K lanes at once.

Lanes are the groups of a convolution, so one call serves all of them. Time and label act by scale and shift after each
block's second normalisation (Dhariwal & Nichol 2021); a block's last convolution starts at zero.

Shapes: K lanes, B batch, C channels, H height, W width, D embedding
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones.flat_parameters import flatten, named_weights
from trainer.backbones.layers import convolution, convolve, embed, embedding, frequencies, initial, linear, product
from trainer.backbones.protocol import Conditioning, Layout, Output, Slot, TapShape
from trainer.recipe import UNetRecipe
from trainer.recipe.objective import Demands

GROUP = 8  # channels that are normalised together


class UNet:
    """One residual block a level on the way down, one in the middle, one a level on the way up.

    Taps, in the order they are computed: down.0, down.1, .., mid, .., up.1, up.0; number 0 is at full resolution.
    """

    source_sha256 = ""

    def __init__(
        self,
        model: UNetRecipe,
        shape: tuple[int, int, int],
        classes: int,
        time_scale: float,
        device: torch.device,
        demands: Demands = Demands(),  # noqa: B008 - immutable
    ) -> None:
        """Raise ValueError where the image cannot be halved often enough; `shape` is (C, H, W)."""
        channels, height, width = shape
        halved = 2 ** (model.levels - 1)
        if height % halved or width % halved:
            raise ValueError(
                f"{model.levels} levels halve an image {model.levels - 1} times; {height}x{width} cannot be"
            )
        self.recipe, self.shape, self.classes, self.time_scale = model, shape, classes, time_scale
        self.demands = demands
        self.frequencies = frequencies(device)
        widths = model.widths
        levels = range(model.levels)
        # name: channels in and out, and the level whose resolution it works at
        self._blocks = {f"down.{i}": (widths[max(i - 1, 0)], widths[i], i) for i in levels}
        self._blocks["mid"] = (widths[-1], widths[-1], model.levels - 1)
        below = [*widths[1:], widths[-1]]
        self._blocks |= {f"up.{i}": (below[i] + widths[i], widths[i], i) for i in reversed(levels)}
        self.taps = tuple(self._blocks)
        self.tap_shapes = tuple(TapShape((height >> i) * (width >> i), out) for _, out, i in self._blocks.values())
        self.layout: Layout = self._layout(channels)

    def _layout(self, channels: int) -> dict[str, Slot]:
        widths, embedded = self.recipe.widths, self.recipe.embedding
        outputs_each, has_interval = self.demands
        layout = {**convolution("first", channels, widths[0]), **embedding(embedded, self.classes, has_interval)}
        outputs = [out for _, out, _ in self._blocks.values()]
        # One product for the scales and shifts of all blocks: they share their input.
        modulated = tuple(tap for tap, out in enumerate(outputs) for _ in range(2 * out))
        layout |= linear("modulation", embedded, 2 * sum(outputs), modulated)
        for tap, (name, (inputs, out, _)) in enumerate(self._blocks.items()):
            layout |= convolution(f"{name}.first", inputs, out, owner=tap)
            layout |= convolution(f"{name}.second", out, out, owner=tap)
            if inputs != out:
                layout |= convolution(f"{name}.skip", inputs, out, side=1, owner=tap)
        return layout | convolution("last", widths[0], outputs_each * channels)

    def initial_weights(self, generator: torch.Generator) -> Tensor:
        """Return one lane's weights [P]: Xavier-uniform factors, zero modulations and last convolutions."""
        named = {
            name: torch.zeros(slot.shape) if _is_zero(name) else initial(name, slot.shape, generator)
            for name, slot in self.layout.items()
        }
        return flatten(named, self.layout)

    def __call__(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()
    ) -> Output:
        """Return the prediction at time t in [0, 1] for labels in [0, classes], where `classes` means no label."""
        kept, last = {}, x_KBCHW
        for tap, last in enumerate(self._trunk(weights, x_KBCHW, condition)):
            if tap in taps:
                kept[tap] = _as_tokens(last)
        return Output(convolve(weights, "last", F.silu(_normalise(last))), kept)

    def walk(self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Give the feature maps after each block in turn as [K, B, H W, C]."""
        return map(_as_tokens, self._trunk(weights, x_KBCHW, condition))

    def state_dict(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one lane's weights under the layout's own names."""
        return {name: weights[name].contiguous() for name in self.layout}

    def from_state_dict(self, state: Mapping[str, Tensor], place: str) -> Tensor:
        """Return one lane's weights [P]; raise DataError where they are another network's."""
        return flatten(named_weights(state, self.layout, place), self.layout)

    def _trunk(self, weights: Mapping[str, Tensor], x: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Give the feature map [K, B, C, H, W] after each block."""
        embedded = F.silu(embed(weights, condition, self.time_scale, self.frequencies))
        sizes = [2 * out for _, out, _ in self._blocks.values()]
        mixed = torch.split(product(weights, "modulation", embedded)[..., None, None], sizes, dim=2)
        modulations = dict(zip(self._blocks, mixed, strict=True))
        x, skips, level = convolve(weights, "first", x), dict[int, Tensor](), 0
        for name, (inputs, out, here) in self._blocks.items():
            if here != level:
                x = _halved(x) if here > level else _doubled(x)
                level = here
            if name.startswith("up"):
                x = torch.cat([x, skips[here]], 2)
            x = _block(weights, name, x, modulations[name], inputs != out)
            if name.startswith("down"):
                skips[here] = x
            yield x


def _is_zero(name: str) -> bool:
    return name.startswith("modulation") or name.endswith((".second.weight", "last.weight"))


def _block(weights: Mapping[str, Tensor], name: str, x: Tensor, modulation: Tensor, widens: bool) -> Tensor:
    shift, scale = modulation.chunk(2, dim=2)
    hidden = convolve(weights, f"{name}.first", F.silu(_normalise(x)))
    hidden = torch.addcmul(shift, _normalise(hidden), 1 + scale)
    added = convolve(weights, f"{name}.second", F.silu(hidden))
    return added + (convolve(weights, f"{name}.skip", x) if widens else x)


def _normalise(x_KBCHW: Tensor) -> Tensor:
    flat = x_KBCHW.flatten(0, 1)
    return F.group_norm(flat, flat.shape[1] // GROUP, eps=1e-6).view_as(x_KBCHW)


def _halved(x_KBCHW: Tensor) -> Tensor:
    halved = F.avg_pool2d(x_KBCHW.flatten(0, 1), 2)
    return halved.view(*x_KBCHW.shape[:2], *halved.shape[1:])


def _doubled(x_KBCHW: Tensor) -> Tensor:
    doubled = F.interpolate(x_KBCHW.flatten(0, 1), scale_factor=2, mode="nearest")
    return doubled.view(*x_KBCHW.shape[:2], *doubled.shape[1:])


def _as_tokens(x_KBCHW: Tensor) -> Tensor:
    return x_KBCHW.flatten(3).transpose(2, 3)
