"""What the comparisons with public code share: rows, a small network with weights, and modules out of a checkout."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.backbones.public_sit import from_public
from trainer.backbones.sit import SiT
from trainer.recipe import SiTRecipe
from trainer.recipe.objective import Demands

WIDTH, DEPTH, HEADS, PATCH, CHANNELS, SIDE, CLASSES, BATCH = 64, 3, 4, 2, 4, 8, 10, 8
SIZES = {"input_size": SIDE, "patch_size": PATCH, "in_channels": CHANNELS, "hidden_size": WIDTH, "depth": DEPTH}
SIZES |= {"num_heads": HEADS, "num_classes": CLASSES}
CPU = torch.device("cpu")


class Row(NamedTuple):
    """How far ours is from a public code's, relative to the largest number of theirs."""

    code: str
    what: str
    apart: float


class NotHereError(Exception):
    """A checkout or a package that a comparison needs is missing; the message names the remedy."""


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference relative to their largest number; raise ValueError for other shapes."""
    if ours.shape != theirs.shape:
        raise ValueError(f"ours is {list(ours.shape)}, theirs {list(theirs.shape)}")
    return float((ours.detach() - theirs.detach()).abs().max() / theirs.detach().abs().max())


class Batch(NamedTuple):
    """Latents [B, C, H, W], noise like them, and labels [B]."""

    images: Tensor
    noise: Tensor
    labels: Tensor


def batch(seed: int = 0) -> Batch:
    """Return a batch within [-1, 1], as pixels are: a bound at step 0 asks for them."""
    random = torch.Generator().manual_seed(seed)
    images, noise = (torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=random) for _ in range(2))
    return Batch(images.clamp(-1, 1), noise, torch.randint(0, CLASSES, (BATCH,), generator=random))


def our_model(time_scale: float, demands: Demands) -> SiT:
    """Return our transformer of the sizes that are compared, with the public GELU."""
    recipe = SiTRecipe(width=WIDTH, depth=DEPTH, heads=HEADS, patch=PATCH, gelu="tanh")
    return SiT(recipe, (CHANNELS, SIDE, SIDE), CLASSES, time_scale, CPU, demands)


def with_their_weights(state: Mapping[str, Tensor], time_scale: float, demands: Demands) -> Network:
    """Return ours with the weights of a public state dict."""
    model = our_model(time_scale, demands)
    return Network(model, views(from_public(model, state, "public weights")[None], model.layout))


def randomise(module: torch.nn.Module) -> torch.nn.Module:
    """Give a module normal weights, for those that begin at zero hide a difference; leave its fixed positions."""
    random = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if name != "pos_embed":
            parameter.data.normal_(0, 0.1, generator=random)
    return module.eval()


class Noises:
    """The noise of each step that a sampler adds, as a public code's loop drew it."""

    def __init__(self, of_step: Mapping[int, Tensor]) -> None:
        self._of_step = of_step

    def __call__(self, step: int, shape: Sequence[int]) -> Tensor:
        """Return it, [1, B, C, H, W]."""
        return self._of_step[step].view(*shape)


def modules(checkout: Path | None, names: Sequence[str], packages: Sequence[str]) -> list[ModuleType]:
    """Import modules of a checkout, which may be called as those of another; raise NotHereError with the remedy."""
    if checkout is None or not checkout.is_dir():
        raise NotHereError("no checkout given" if checkout is None else f"{checkout}: no such checkout")
    _need(packages)
    with _only_in(checkout, {name.partition(".")[0] for name in names}):
        try:
            return [importlib.import_module(name) for name in names]
        except ImportError as error:
            raise NotHereError(f"{checkout}: {' '.join(str(error).split())}") from error


def _need(packages: Sequence[str]) -> None:
    for name in packages:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise NotHereError(f"{name} cannot be imported ({error}); pip install {name}") from error


@contextmanager
def _only_in(checkout: Path, tops: set[str]) -> Iterator[None]:
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
