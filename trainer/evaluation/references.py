"""The reference that samples are compared with, made once for a data set (or statistics file) and an extractor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.evaluation.extractors import Extractor, dequantise
from trainer.evaluation.frechet import Moments, Reference
from trainer.evaluation.reference_file import POOLED, SPATIAL, ReferenceFile
from trainer.recipe.metrics import MANIFOLD
from trainer.runtime.cached_file import made_once

# Raise it with every change to how a reference is made: it names the cached file.
VERSION = 1
AT_ONCE = 250


class References(NamedTuple):
    """The reference's Gaussian, and the features [M, D] of at most 10,000 of its images, evenly spaced.

    A file may lack images, and so features, but have the Gaussian of spatial features.
    """

    gaussian: Reference
    features: Tensor | None
    spatial: Reference | None = None


def moments_of(features_ND: Tensor) -> Moments:
    """Return the moments of features, as those of one lane."""
    moments = Moments(1, features_ND.shape[1], features_ND.device)
    moments.add(features_ND[None])
    return moments


def from_images(data: Dataset, extractor: Extractor, cache: Path) -> References:
    """Return those of the whole training split."""
    names = data.reference_hash, extractor.sha256
    path = cache / f"reference-v{VERSION}-{names[0][:16]}-{names[1][:16]}.safetensors"
    owner = f"reference {VERSION} of {names[0]} through {names[1]}"
    made = made_once(path, owner, lambda: _of_images(data, extractor))
    return References(Reference(made["mean"], made["covariance"]), made["features"])


def _of_images(data: Dataset, extractor: Extractor) -> dict[str, Tensor]:
    features = torch.cat([extractor(part[:]) for part in data.reference_images.split(extractor.at_once)]).cpu()
    moments = moments_of(features)
    stride = math.ceil(len(features) / MANIFOLD)
    mean, covariance = moments.mean[0], moments.covariance[0]
    return {"mean": mean, "covariance": covariance, "features": features[::stride].clone()}


def spatial_from_images(data: Dataset, extractor: Extractor, cache: Path) -> Reference:
    """Return the Gaussian of the training split's spatial features; kept apart, for few studies ask for it."""
    names = data.reference_hash, extractor.sha256
    path = cache / f"spatial-reference-v{VERSION}-{names[0][:16]}-{names[1][:16]}.safetensors"
    owner = f"spatial reference {VERSION} of {names[0]} through {names[1]}"
    made = made_once(path, owner, lambda: _spatial(extractor, data))
    return Reference(made["mean"], made["covariance"])


def _spatial(extractor: Extractor, data: Dataset) -> dict[str, Tensor]:
    seen = (extractor.look(part[:]).spatial for part in data.reference_images.split(extractor.at_once))
    moments = _streamed(part.cpu() for part in seen if part is not None)
    return {"mean": moments.mean[0], "covariance": moments.covariance[0]}


def from_file(file: ReferenceFile, extractor: Extractor, cache: Path) -> References:
    """Return a file's statistics and, if it has images, their features; raise DataError for another extractor's."""
    names = file.sha256, extractor.sha256
    path = cache / f"reference-file-v{VERSION}-{names[0][:16]}-{names[1][:16]}.safetensors"
    owner = f"reference file {VERSION} of {names[0]} through {names[1]}"
    made = made_once(path, owner, lambda: _of_file(file, extractor))
    spatial = Reference(made["spatial_mean"], made["spatial_covariance"]) if "spatial_mean" in made else None
    return References(Reference(made["mean"], made["covariance"]), made.get("features"), spatial)


def _of_file(file: ReferenceFile, extractor: Extractor) -> dict[str, Tensor]:
    of_images = _of_file_images(file, extractor) if file.has_images else {}
    spatial = extractor.look(torch.zeros(1, 3, 32, 32)).spatial
    assert spatial is not None
    gaussians = file.gaussian(POOLED, extractor.dim), file.gaussian(SPATIAL, spatial.shape[1])
    for name, gaussian in zip(("", "spatial_"), gaussians, strict=True):
        if gaussian:
            of_images |= {f"{name}mean": gaussian.mean, f"{name}covariance": gaussian.covariance}
    return of_images


def _of_file_images(file: ReferenceFile, extractor: Extractor) -> dict[str, Tensor]:
    """Extract features of the images; use their moments where the file has none, as in ADM's evaluator."""
    pooled, spatial, features = None, None, []
    for images in file.images(AT_ONCE):
        seen = extractor.look(dequantise(images))
        assert seen.spatial is not None
        pooled, spatial = pooled or _empty(seen.features), spatial or _empty(seen.spatial)
        pooled.add(seen.features[None])
        spatial.add(seen.spatial[None])
        features.append(seen.features.cpu())
    assert pooled is not None
    assert spatial is not None
    kept = torch.cat(features)
    return {
        "mean": pooled.mean[0],
        "covariance": pooled.covariance[0],
        "spatial_mean": spatial.mean[0],
        "spatial_covariance": spatial.covariance[0],
        "features": kept[:: math.ceil(len(kept) / MANIFOLD)].clone(),
    }


def _empty(features_ND: Tensor) -> Moments:
    return Moments(1, features_ND.shape[1], features_ND.device)


def _streamed(parts: Iterable[Tensor]) -> Moments:
    moments: Moments | None = None
    for part in parts:
        moments = moments or _empty(part)
        moments.add(part[None])
    assert moments is not None
    return moments
