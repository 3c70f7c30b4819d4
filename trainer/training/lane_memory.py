"""An estimate of a lane's training memory: weights and optimiser by their size, activations by measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from trainer.backbones.protocol import TapShape
from trainer.backbones.sit import SiT
from trainer.recipe import Dispersion, Recipe
from trainer.recipe.training import Precision

# Weights, AdamW's two moments, average and gradient in fp32, and the gradient as autograd returns it, before it is
# gathered; in bf16 the shadow of the weights and the gradient's copy beside it.
STATE: Mapping[Precision, int] = {"fp32": 24, "bf16": 26}


class _Kept(NamedTuple):
    # Bytes of activations an image, token and unit of width: of every block, `block` and more by mlp_ratio and by
    # heads tokens / width, and `outside` of them.
    block: float
    hidden: float
    scores: float
    outside: float


# The peak of a process less its peak at batch 1, of one block and of four (torch 2.13, 2026-11-26); hidden units by the
# tensors that autograd saves. MeanFlow keeps the tangents' graph, though unused, until its loss is computed.
KEPT = {
    ("fp32", False): _Kept(48.6, 8.0, 0.0, 27.0),
    ("bf16", False): _Kept(32.5, 4.0, 0.0, 34.0),
    ("fp32", True): _Kept(105.0, 17.4, 23.0, 57.0),
    ("bf16", True): _Kept(76.0, 9.3, 11.4, 71.0),
}


class LaneMemory(NamedTuple):
    """Bytes of a lane's weights and optimiser, of its activations at the recipe's batch, and of both for each block."""

    state: float
    activations: float
    a_block: float

    @property
    def total(self) -> float:
        """Of a lane, beside the data."""
        return self.state + self.activations

    def largest_depth(self, depth: int, free: float) -> int:
        """Return how many blocks a lane may have, `depth` now, to fit into `free` bytes; 0 where none does."""
        return max(0, int((free - self.total + depth * self.a_block) // self.a_block))


def parameter_count(backbone: SiT) -> int:
    """Return how many parameters a lane trains."""
    return sum(prod(slot.shape) for slot in backbone.layout.values())


def bank_bytes(setting: Dispersion, taps: Sequence[TapShape]) -> int:
    """Return the bytes of a lane's memory bank, in float32: the current one, and the next one that a step makes."""
    if setting.bank is None:
        return 0
    entries, blocks = setting.bank
    return 2 * 4 * entries * blocks * max(shape.elements for shape in taps)


def lane_memory(recipe: Recipe, backbone: SiT) -> LaneMemory:
    """Return about what one lane of a recipe takes, within a fifth or so; what a regulariser learns is left out."""
    model, precision = backbone.recipe, recipe.train.precision
    kept, tokens = KEPT[precision, backbone.demands.has_interval], backbone.rows * backbone.columns
    each = recipe.train.batch * tokens * model.width
    block = each * (kept.block + kept.hidden * model.mlp_ratio + kept.scores * model.heads * tokens / model.width)
    of_block = sum(prod(slot.shape) for name, slot in backbone.layout.items() if name.startswith("0."))
    of_block += 6 * model.width * (model.width + 1)  # its modulations, which lie with the others'
    # With rates of their own for later blocks: the weights before a step, beside one array of rates for all lanes.
    state = STATE[precision] + (8 if recipe.train.later_blocks else 0)
    return LaneMemory(
        state * parameter_count(backbone),
        model.depth * block + each * kept.outside,
        state * of_block + block,
    )
