"""How many floating-point operations a pass through a network takes, from its layout: products alone.

A multiply-add counts as two. Norms, activations and other elementwise operations are left out.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from trainer.backbones.sit import SiT

ONCE_AN_IMAGE = ("time", "interval", "modulation")  # products of an image's conditioning, not of its tokens
OF_INPUTS = ("patch.weight", "time1.weight", "interval1.weight")  # no trained weights come before these


class PassFlops(NamedTuple):
    """Operations of one image's forward pass: `first` are the products of inputs, which need no gradient."""

    first: int
    products: int
    attention: int

    @property
    def forward(self) -> int:
        """All of them."""
        return self.first + self.products + self.attention

    @property
    def backward(self) -> int:
        """The operations of its gradients: for both factors of a product, for the weight alone in products of inputs.

        Recomputation in fused attention is not counted, as usual for model FLOPs.
        """
        return self.first + 2 * (self.products + self.attention)

    @property
    def tangent(self) -> int:
        """The operations that a Jacobian-vector product adds: one for each factor's tangent, and a weight has none."""
        return self.forward + self.attention


def pass_flops(backbone: SiT) -> PassFlops:
    """Count the operations of one image's pass through a SiT."""
    tokens = backbone.rows * backbone.columns
    products = {
        name: 2 * prod(slot.shape) * (1 if name.startswith(ONCE_AN_IMAGE) else tokens)
        for name, slot in backbone.layout.items()
        if name.endswith(".weight")
    }
    first = sum(products.get(name, 0) for name in OF_INPUTS)
    attention = 4 * tokens**2 * backbone.recipe.width * backbone.recipe.depth
    return PassFlops(first, sum(products.values()) - first, attention)
