"""From a recipe to its backbone."""

from __future__ import annotations

import torch

from trainer.backbones.protocol import Backbone
from trainer.backbones.sit import SiT
from trainer.recipe import Recipe


def backbone_of(recipe: Recipe, shape: tuple[int, int, int], classes: int, device: torch.device) -> Backbone:
    """Return the network of a recipe for images of `shape` (C, H, W); raise ValueError where it does not fit them."""
    return SiT(recipe.model, shape, classes, recipe.train.time_scale, device)
