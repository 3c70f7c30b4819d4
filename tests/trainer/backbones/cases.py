"""The backbones that the contract is held against, a new one being added here, and what they are called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.module import WrappedModule
from trainer.backbones.protocol import Backbone, Conditioning
from trainer.backbones.sit import SiT
from trainer.backbones.unet import UNet
from trainer.backbones.uvit import UViT
from trainer.recipe import ModuleRecipe, SiTRecipe, UNetRecipe, UViTRecipe

CPU = torch.device("cpu")
SHAPE, CLASSES, LANES, BATCH = (3, 8, 4), 5, 3, 4
Shape = tuple[int, int, int]


class Case(NamedTuple):
    """A backbone: `build` makes it for images of a shape (C, H, W), of at most 8 x 8, and so many classes.

    `may_lack` names what a file of its weights may lack.
    """

    name: str
    build: Callable[[Shape, int], Backbone]
    may_lack: frozenset[str] = frozenset()


def _sit(shape: Shape, classes: int) -> Backbone:
    return SiT(SiTRecipe(width=16, depth=3, heads=2, patch=2), shape, classes, 1000.0, CPU)


def _unet(shape: Shape, classes: int) -> Backbone:
    return UNet(UNetRecipe(kind="unet", width=8, levels=2), shape, classes, 1000.0, CPU)


def _uvit(shape: Shape, classes: int) -> Backbone:
    model = UViTRecipe(kind="uvit", width=16, depth=3, heads=2, patch=2)
    return UViT(model, shape, classes, 1000.0, CPU)


def _own(shape: Shape, classes: int) -> Backbone:
    tree = {"kind": "module", "factory": "tests.trainer.backbones.own_nets:mlp", "taps": ["tokens"]}
    return WrappedModule(ModuleRecipe.model_validate(tree), shape, classes, CPU)


CASES = (
    Case("SiT", _sit, may_lack=frozenset({"pos_embed"})),
    Case("U-Net", _unet),
    Case("U-ViT", _uvit),
    Case("a module of one's own", _own),
)


def random_weights(backbone: Backbone, lanes: int = LANES) -> Tensor:
    """Weights [K, P] with nothing of them 0, away from where they begin."""
    flat = torch.stack([backbone.initial_weights(torch.Generator().manual_seed(lane)) for lane in range(lanes)])
    return flat + 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(9))


def inputs(shape: Shape = SHAPE, lanes: int = LANES, batch: int = BATCH) -> tuple[Tensor, Conditioning]:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(lanes, batch, *shape, generator=random)
    time = torch.rand(lanes, batch, generator=random)
    return x, Conditioning(time, torch.randint(0, CLASSES + 1, (lanes, batch), generator=random))


def part(given: Conditioning, rows: slice | tuple[slice, slice]) -> Conditioning:
    return Conditioning(given.time[rows], given.label[rows])
