"""From a recipe to its backbone."""

from __future__ import annotations

from typing import assert_never

import torch

from trainer.backbones.module import WrappedModule
from trainer.backbones.protocol import Backbone
from trainer.backbones.sit import SiT
from trainer.backbones.unet import UNet
from trainer.backbones.uvit import UViT
from trainer.recipe import ModuleRecipe, Recipe, SiTRecipe, UNetRecipe, UViTRecipe


def backbone_of(recipe: Recipe, shape: tuple[int, int, int], classes: int, device: torch.device) -> Backbone:
    """Return the network of a recipe for images of `shape` (C, H, W); raise ValueError where it does not fit them."""
    model, scale, demands = recipe.model, recipe.train.time_scale, recipe.objective.demands
    match model:
        case SiTRecipe():
            return SiT(model, shape, classes, scale, device, demands)
        case UNetRecipe():
            return UNet(model, shape, classes, scale, device, demands)
        case UViTRecipe():
            return UViT(model, shape, classes, scale, device, demands)
        case ModuleRecipe():
            return WrappedModule(model, shape, classes, device, demands)
        case _:
            assert_never(model)
