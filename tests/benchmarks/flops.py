"""How many floating-point operations a training step takes, by formula."""

from __future__ import annotations

from trainer.backbones.layers import FREQUENCIES
from trainer.recipe import SiTRecipe


def step_flops(model: SiTRecipe, shape: tuple[int, int, int], batch: int) -> int:
    """Return the operations of one lane's forward and backward pass, a multiply-add counted as two.

    Products alone: of the tokens (patches, qkv, output, MLP, final layer), of the batch (time embedding, modulation),
    and attention's two. A backward pass takes twice the forward's, but for the first product of each of the two
    inputs, of which only the weight's gradient is needed. Norms, AdamW and Dispersive Loss (2 B^2 N D, a thousandth)
    are left out; attention's recomputation in fused kernels is not counted.
    """
    channels, height, width = shape
    tokens = height * width // model.patch**2
    d, pixels = model.width, channels * model.patch**2
    block = tokens * (4 * d * d + 2 * d * model.hidden) + 2 * tokens * tokens * d
    conditioning = d * d + d * (6 * model.depth + 2) * d
    inner = model.depth * block + conditioning + tokens * d * pixels
    first = tokens * pixels * d + FREQUENCIES * d
    return 2 * batch * (3 * inner + 2 * first)
