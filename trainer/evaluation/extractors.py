"""Feature extractors for FID: the data set's own (domain), or torch-fidelity's with given weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.errors import DataError
from trainer.evaluation.autoencoder import AT_ONCE, load_autoencoder
from trainer.evaluation.domain_extractor import DIM, domain_extractor
from trainer.evaluation.torch_fidelity import Inception, pretrained
from trainer.recipe import EvalRecipe
from trainer.recipe.metrics import SPATIAL_CHANNELS, PretrainedName
from trainer.runtime.paths import located
from trainer.runtime.weight_files import read_weights

T = TypeVar("T")

BATCH = 250
NUMBERS = 2**22  # of pixels at once on a GPU: the convnet's first layer makes 32 times as many, half a gigabyte


class Seen(NamedTuple):
    """Features [N, D] of images; some extractors also have spatial ones [N, S] and a classifier's logits [N, C]."""

    features: Tensor
    spatial: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen map from images [N, C, H, W] to features [N, `dim`], float32 on `device`, `at_once` images at a time.

    `sha256` is that of its weights: figures of two hashes cannot be compared. `accuracy` is the domain
    extractor's on held-out images. `whole` gives all outputs in one pass, `net` the features alone.
    """

    name: str
    sha256: str
    dim: int
    pixels: bool
    device: torch.device
    net: Callable[[Tensor], Tensor]
    accuracy: float | None = None
    at_once: int = BATCH
    whole: Callable[[Tensor], Seen] | None = None

    def __call__(self, images_NCHW: Tensor) -> Tensor:
        """Return features; pixels are first rounded to 8 bits, as they would be in an image file."""
        return torch.cat(self._each(images_NCHW, self.net)).float()

    def look(self, images_NCHW: Tensor) -> Seen:
        """Return all outputs for images, rounded likewise."""
        if self.whole is None:
            return Seen(self(images_NCHW))
        seen = self._each(images_NCHW, self.whole)
        return Seen(*(torch.cat(parts).float() for parts in zip(*seen, strict=True)))

    @torch.no_grad()
    def _each(self, images_NCHW: Tensor, net: Callable[[Tensor], T]) -> list[T]:
        parts = torch.split(images_NCHW.to(self.device), self.at_once)
        # TF32, cuDNN's default, keeps 10 bits of every factor: other features under the same hash.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, fp32_precision="ieee"):
            return [net(quantise(part) if self.pixels else part) for part in parts]


def quantise(images: Tensor) -> Tensor:
    """Round images in [-1, 1] to uint8, clipping what lies outside."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def dequantise(images: Tensor) -> Tensor:
    """Map uint8 images back to [-1, 1]."""
    return images.float() / 127.5 - 1


def load_extractor(recipe: EvalRecipe, data: Dataset, cache: Path, device: torch.device) -> Extractor:
    """Return the extractor a recipe names, training the domain extractor if `cache` does not have it yet.

    Raises DataError for a weight file that is missing or does not fit, or a pixel extractor on latents that no
    decoder makes pixels of.
    """
    if recipe.extractor != "domain":
        seen = _pretrained(recipe.extractor, located(recipe.weights or ""), data, device, recipe.decoder is not None)
        return seen if recipe.decoder is None else _decoded(seen, located(recipe.decoder), data)
    made = domain_extractor(data, cache)
    net = made.net.to(device)

    def extract(images: Tensor) -> Tensor:
        features: Tensor = net(dequantise(images) if data.pixels else images)
        return features

    def whole(images: Tensor) -> Seen:
        places = net.spatial(dequantise(images) if data.pixels else images)
        features = net.pooled(places)
        return Seen(features, places_in_order(places), net.head(features))

    # A CPU's batch should fit its caches; a GPU's should fill it, since many lanes are scored together.
    at_once = BATCH if device.type == "cpu" else max(BATCH, NUMBERS // math.prod(data.shape))
    return Extractor("domain", made.sha256, DIM, data.pixels, device, extract, made.accuracy, at_once, whole)


def places_in_order(places_NCHW: Tensor) -> Tensor:
    """Return the part of a feature map that sFID uses, in ADM's order: its first channels, place by place."""
    return places_NCHW[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)


def _pretrained(
    name: PretrainedName, weights: Path, data: Dataset, device: torch.device, is_decoded: bool
) -> Extractor:
    if not data.pixels and not is_decoded:
        raise DataError(
            f"extractor {name!r} looks at pixels and {data.name!r} holds latents; use extractor 'domain', or give "
            "eval.decoder the folder of the latents' autoencoder"
        )
    if not weights.is_file():
        raise DataError(f"{weights}: no such file; give eval.weights the weight file of {name!r}, or use 'domain'")
    try:
        state, sha256 = read_weights(weights)
        net = pretrained(name, state)
        dim = net(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]
    except (DataError, OSError, MemoryError):
        raise
    except Exception as error:  # zip, pickle, safetensors and shape errors have no type in common
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{weights}: not a weight file of {name!r} ({reason})") from error

    def whole(images: Tensor) -> Seen:
        assert isinstance(net, Inception)
        features, places, logits = net.look(_rgb(images))
        return Seen(features, places_in_order(places), logits)

    looks = whole if isinstance(net, Inception) else None
    return Extractor(name, sha256, dim, True, device, lambda images: net(_rgb(images)), whole=looks)


def _decoded(seen: Extractor, folder: Path, data: Dataset) -> Extractor:
    """Return an extractor of latents that looks at the pixels they decode to, rounded to 8 bits as in a file."""
    standardisation = data.standardisation
    if data.pixels or standardisation is None:
        raise DataError(f"eval.decoder decodes latents and {data.name!r} holds pixels; remove it")
    coder = load_autoencoder(folder, seen.device)
    if coder.latent_channels != data.shape[0] or coder.image_channels not in (1, 3):
        raise DataError(
            f"{folder}: decodes {coder.latent_channels} channels to {coder.image_channels}; the latents have "
            f"{data.shape[0]}, and images have 1 or 3"
        )

    def features(latents: Tensor) -> Tensor:
        return seen.net(quantise(coder.decode(standardisation.undone(latents))))

    sha256 = hashlib.sha256(f"{seen.sha256} of latents decoded by {coder.sha256}".encode()).hexdigest()
    return Extractor(seen.name, sha256, seen.dim, False, seen.device, features, at_once=AT_ONCE)


def _rgb(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
