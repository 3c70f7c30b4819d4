"""REPA's targets: the features of a frozen encoder, one vector per place of its grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation.dinov2 import DinoV2
from trainer.evaluation.domain_extractor import DIM, fresh_net
from trainer.evaluation.local_encoder import OWN_SEED, local_encoder
from trainer.recipe import Recipe, Repa
from trainer.runtime.paths import located
from trainer.runtime.weight_files import read_weights

SIDE = 224  # pixels of an image as DINOv2 was trained on them: 16 x 16 places
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1]


class FrozenEncoder:
    """A frozen network's features [M, `width`, h, w] of images [M, C, H, W] as they are trained on.

    `sha256` is that of its weights.
    """

    def __init__(self, places: Callable[[Tensor], Tensor], width: int, sha256: str) -> None:
        self.width, self.sha256, self._places = width, sha256, places

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features, in float32 whatever training computes in."""
        with torch.autocast(images.device.type, enabled=False):
            return self._places(images)


def encoder_of(repa: Repa, data: Dataset, cache: Path, device: torch.device) -> FrozenEncoder:
    """Return the encoder of a recipe, trained first where it is 'local' and `cache` does not have it yet.

    Raises DataError for a weight file that is missing or does not fit, and for DINOv2 on latents.
    """
    match repa.encoder:
        case "local":
            net, sha256 = local_encoder(data, cache)
            return FrozenEncoder(net.to(device).spatial, DIM, sha256)
        case "dinov2":
            return _dinov2(located(repa.weights or ""), data, device)
        case _:
            assert_never(repa.encoder)


def untrained_encoder(recipe: Recipe, data: Dataset, device: torch.device) -> FrozenEncoder:
    """Return an untrained encoder of the same cost as the recipe's, for timing; writes no file."""
    repa = recipe.train.repa
    if repa is not None and repa.encoder == "dinov2":
        return _dinov2(located(repa.weights or ""), data, device)
    net = fresh_net(data, OWN_SEED).requires_grad_(False)
    return FrozenEncoder(net.to(device).spatial, DIM, "")


def _dinov2(weights: Path, data: Dataset, device: torch.device) -> FrozenEncoder:
    if not data.pixels:
        raise DataError(f"encoder 'dinov2' looks at pixels and {data.name!r} holds latents; use encoder 'local'")
    if not weights.is_file():
        raise DataError(f"{weights}: no such file; give train.repa.weights DINOv2's weight file, or use 'local'")
    try:
        state, sha256 = read_weights(weights)
        net = DinoV2.load(state)
    except (DataError, OSError, MemoryError):
        raise
    except Exception as error:  # zip, pickle, safetensors and shape errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{weights}: not a weight file of DINOv2 ({reason})") from error
    return FrozenEncoder(_Patches(net).to(device), net.pos_embed.shape[-1], sha256)


class _Patches(nn.Module):
    """DINOv2's patch tokens of images in [-1, 1], resized to what it was trained on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: DinoV2) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return features [M, D, 16, 16] of images [M, C, H, W], C being 1 or 3."""
        pixels = (images.expand(-1, 3, -1, -1) + 1) / 2
        large = interpolate((pixels - self.mean) / self.deviation, (SIDE, SIDE), mode="bicubic")
        return self.net.places(large)
