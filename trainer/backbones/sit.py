"""A compact SiT (Ma et al. 2024, arXiv:2401.08740): a diffusion transformer with adaLN-Zero, for K lanes at once.

Every tensor carries a leading lane axis; one lane is the same code as many. Shape suffixes:

K lanes, B batch, C channels, H height, W width, N tokens, D width, M modulations, P weights of a lane
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainer.backbones import public_sit
from trainer.backbones.attention import attention
from trainer.backbones.flat_parameters import flatten
from trainer.backbones.layers import (
    embed,
    embedding,
    frequencies,
    initial,
    linear,
    modulate,
    normalise,
    patch_grid,
    patchify,
    product,
    unpatchify,
)
from trainer.backbones.protocol import NOBODY, Conditioning, Layout, Output, Slot, TapShape
from trainer.recipe import SiTRecipe
from trainer.recipe.backbone import Gelu
from trainer.recipe.objective import Demands

GELU: Mapping[Gelu, str] = {"exact": "none", "tanh": "tanh"}  # torch's words


class SiT:
    """The network as a pure function of its weights; holds sizes and fixed embeddings only."""

    source_sha256 = ""

    def __init__(
        self,
        model: SiTRecipe,
        shape: tuple[int, int, int],
        classes: int,
        time_scale: float,
        device: torch.device,
        demands: Demands = Demands(),  # noqa: B008 - immutable
    ) -> None:
        """Raise ValueError if the patch does not divide the image; `shape` is (C, H, W)."""
        self.rows, self.columns = patch_grid(shape, model.patch)
        self.recipe, self.shape, self.classes = model, shape, classes
        self.time_scale, self.demands = time_scale, demands
        self.outputs = demands.outputs * shape[0]
        self.positions_ND = sincos_positions(self.rows, self.columns, model.width).to(device)
        self.frequencies = frequencies(device)
        self.layout: Layout = self._layout(shape[0])
        self.taps = model.taps
        self.tap_shapes = (TapShape(*self.positions_ND.shape),) * model.depth

    def _layout(self, channels: int) -> dict[str, Slot]:
        width, depth = self.recipe.width, self.recipe.depth
        hidden, area = self.recipe.hidden, self.recipe.patch**2
        layout: dict[str, Slot] = {
            **linear("patch", channels * area, width),
            **embedding(width, self.classes, self.demands.has_interval),
            # One product for the modulations of all blocks and the final layer: they share their input.
            **linear("modulation", width, (6 * depth + 2) * width, self._modulated()),
        }
        for block in range(depth):
            layout |= linear(f"{block}.qkv", width, 3 * width, (block,))
            layout |= linear(f"{block}.out", width, width, (block,))
            layout |= linear(f"{block}.up", width, hidden, (block,))
            layout |= linear(f"{block}.down", hidden, width, (block,))
        return layout | linear("final", width, self.outputs * area)

    def _modulated(self) -> tuple[int, ...]:
        """Return whose each of the modulations is; the last two are the final layer's."""
        return (*(block for block in range(self.recipe.depth) for _ in range(6)), NOBODY, NOBODY)

    def initial_weights(self, generator: torch.Generator) -> Tensor:
        """Return one lane's weights [P]: Xavier-uniform products, zero modulations and final layer (adaLN-Zero)."""
        zero = ("modulation", "final")
        named = {
            name: torch.zeros(slot.shape) if name.startswith(zero) else initial(name, slot.shape, generator)
            for name, slot in self.layout.items()
        }
        return flatten(named, self.layout)

    def __call__(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()
    ) -> Output:
        """Return the prediction at time t in [0, 1] for labels in [0, classes], where `classes` means no label.

        Tap i is the tokens after block i.
        """
        modulations = self._modulations(weights, condition)
        tokens, last = {}, x_KBCHW
        for block, last in enumerate(self._trunk(weights, x_KBCHW, modulations)):
            if block in taps:
                tokens[block] = last
        shift, scale = modulations[-2:]
        out = product(weights, "final", modulate(normalise(last), shift, scale))
        return Output(unpatchify(out, self.recipe.patch, (self.outputs, *self.shape[1:])), tokens)

    def walk(self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Yield the tokens [K, B, N, D] after each block in turn, so that only one block's need to be in memory."""
        return self._trunk(weights, x_KBCHW, self._modulations(weights, condition))

    def state_dict(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one lane's weights as the public SiT's state dict."""
        return public_sit.to_public(self, weights)

    def from_state_dict(self, state: Mapping[str, Tensor], place: str) -> Tensor:
        """Return one lane's weights [P] from a public SiT's state dict; raise DataError where it is another's."""
        return public_sit.from_public(self, state, place)

    def _trunk(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, modulations: tuple[Tensor, ...]
    ) -> Iterator[Tensor]:
        x_KBND = product(weights, "patch", patchify(x_KBCHW, self.recipe.patch)) + self.positions_ND
        if self.recipe.stream_scale != 1:
            x_KBND = self.recipe.stream_scale * x_KBND
        for block in range(self.recipe.depth):
            x_KBND = self._block(weights, block, x_KBND, modulations[6 * block : 6 * block + 6])
            yield x_KBND

    def _modulations(self, weights: Mapping[str, Tensor], condition: Conditioning) -> tuple[Tensor, ...]:
        # Each [K, B, 1, D], in the order of use.
        embedded_KBD = embed(weights, condition, self.time_scale, self.frequencies)
        mixed = product(weights, "modulation", F.silu(embedded_KBD))
        return torch.split(mixed.unsqueeze(2), self.recipe.width, dim=-1)

    def _block(self, weights: Mapping[str, Tensor], block: int, x_KBND: Tensor, m: tuple[Tensor, ...]) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = m
        qkv = product(weights, f"{block}.qkv", modulate(normalise(x_KBND), shift1, scale1))
        mixed = attention(qkv, self.recipe.heads, self.demands.has_interval)
        attended = product(weights, f"{block}.out", mixed)
        x_KBND = torch.addcmul(x_KBND, gate1, attended)
        # Exact by default: the tanh approximation is at most 5e-4 off, and takes a tenth of a step on a CPU.
        above = product(weights, f"{block}.up", modulate(normalise(x_KBND), shift2, scale2))
        hidden = F.gelu(above, approximate=GELU[self.recipe.gelu])
        return torch.addcmul(x_KBND, gate2, product(weights, f"{block}.down", hidden))


def sincos_positions(rows: int, columns: int, width: int) -> Tensor:
    """Return fixed 2-D sine-cosine positions [rows * columns, width] (MAE, DiT): half for rows, half for columns."""
    quarter = width // 4
    frequencies = 1 / 10_000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1).double() * frequencies for axis in (across, down)]
    waves = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    return waves.to(torch.get_default_dtype())
