"""Scores samples as they stream by: FID at every rung, and what FID cannot see at the last one."""

from __future__ import annotations

import logging
import math
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data import Dataset
from trainer.features import Extractor, load_extractor
from trainer.fid import Moments, Reference
from trainer.fidelity import kid, precision_recall, reference_metrics
from trainer.made_once import made_once
from trainer.nearest import nearest_distances
from trainer.recipe import EvalRecipe, fid_name

logger = logging.getLogger(__name__)

COMPARED = 1000  # samples, and held-out images, whose distance to all training images is measured
MANIFOLD = 10_000  # samples, and reference images, that KID, precision and recall see
# Raise it with every change to how the reference is made: it names the cached file.
VERSION = 1


class References(NamedTuple):
    """The reference's Gaussian, and the features [M, D] of at most 10,000 of its images, evenly spaced."""

    gaussian: Reference
    features: Tensor


class Evaluator:
    """Everything samples are compared with, made at first use and kept: extractor, reference, training images.

    `cache` is a folder for the domain extractor and the reference's moments, in files named by their hashes.
    """

    def __init__(self, recipe: EvalRecipe, data: Dataset, cache: Path, device: torch.device) -> None:
        self.recipe, self.data, self.device = recipe, data, device
        self._cache = cache

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor; raises DataError where its weights are missing or do not fit."""
        extractor = load_extractor(self.recipe, self.data, self._cache, self.device)
        fewest = self.recipe.samples_at(last=False)
        if fewest <= extractor.dim:
            logger.warning(
                "FID of %d samples with %d features is a poor estimate; raise eval.%s above %d",
                *(fewest, extractor.dim, "rung_samples" if fewest < self.recipe.samples else "samples", extractor.dim),
            )
        return extractor

    @property
    def extractor_name(self) -> str:
        """Name of the extractor as figures carry it."""
        return self.extractor.name

    @property
    def extractor_sha256(self) -> str:
        """SHA-256 of the extractor's weights."""
        return self.extractor.sha256

    @cached_property
    def references(self) -> References:
        """What samples are compared with: the whole training split, whatever data.limit is."""
        names = self.data.reference_hash, self.extractor.sha256
        path = self._cache / f"reference-v{VERSION}-{names[0][:16]}-{names[1][:16]}.safetensors"
        made = made_once(path, f"reference {VERSION} of {names[0]} through {names[1]}", self._reference_tensors)
        return References(Reference(made["mean"], made["covariance"]), made["features"])

    def _reference_tensors(self) -> dict[str, Tensor]:
        features = self.extractor.many(self.data.reference_images).cpu()
        moments = Moments(self.extractor.dim, features.device)
        moments.add(features)
        stride = math.ceil(len(features) / MANIFOLD)
        return {"mean": moments.mean, "covariance": moments.covariance, "features": features[::stride].clone()}

    @cached_property
    def compared(self) -> Tensor:
        """Which samples, by number, are compared with training images: a fixed random choice of at most 1000."""
        random = torch.Generator().manual_seed(0)
        return torch.randperm(self.recipe.samples, generator=random)[:COMPARED].sort().values

    @cached_property
    def held_distance(self) -> float:
        """Median distance of at most 1000 held-out images to their nearest training image."""
        stride = math.ceil(len(self.data.held_images) / COMPARED)
        return self.training_distance(self.data.held_images[::stride])

    def training_distance(self, images_NCHW: Tensor) -> float:
        """Median L2 distance of images to their nearest training image, pixels clipped to [-1, 1]."""
        images = images_NCHW.clamp(-1, 1) if self.data.pixels else images_NCHW
        return float(nearest_distances(images.to(self.device), self.data.train_images).median())

    def features(self, images_BCHW: Tensor) -> Tensor | None:
        """Return the features [B, D] of samples, or None where an image or a feature is not finite."""
        if not bool(images_BCHW.isfinite().all()):
            return None
        features = self.extractor(images_BCHW)
        return features if bool(features.isfinite().all()) else None

    def fid(self, moments: Moments, count: int) -> float:
        """Return the FID of `count` samples; raises ValueError for moments of another number, for names carry it."""
        if moments.count != count:
            raise ValueError(f"{fid_name(count)} is of {count} samples, not {moments.count}")
        return self.references.gaussian.frechet_distance(moments)

    def tally(self, final: bool) -> Tally:
        """Start scoring one model's samples; `final` adds what is measured at the last rung alone."""
        return Tally(self, final)

    def check_against_torch_fidelity(self, images_NCHW: Tensor) -> float:
        """Return the relative difference between our FID of images and torch-fidelity's, from images on."""
        moments = Moments(self.extractor.dim, self.device)
        moments.add(self.extractor.many(images_NCHW))
        ours = self.references.gaussian.frechet_distance(moments)
        name = f"{self.extractor_name}-{self.extractor_sha256[:16]}"
        reference = self.data.reference_images.cpu()
        scores = reference_metrics(images_NCHW.cpu(), reference, name, self.extractor, ["fid"])
        theirs = scores["frechet_inception_distance"]
        return abs(ours - theirs) / max(abs(theirs), 1e-12)


class Tally:
    """The score of one model's samples so far.

    `count` samples are wanted. At the last rung earlier rungs' FID is taken of the first of them as well, so that it
    can be compared over the steps, and with the objective.
    """

    def __init__(self, evaluator: Evaluator, final: bool) -> None:
        self._evaluator, self._final = evaluator, final
        recipe = evaluator.recipe
        self.count = recipe.samples_at(final)
        counts = {recipe.objective_at(last): recipe.samples_at(last) for last in (False, final)}
        self._parts = {name: (Moments(evaluator.extractor.dim, evaluator.device), n) for name, n in counts.items()}
        self._features: list[Tensor] = []
        self._compared: list[Tensor] = []
        self._added, self._finite = 0, True

    @property
    def moments(self) -> Moments:
        """The moments of all samples' features."""
        return self._parts[fid_name(self.count)][0]

    @torch.no_grad()
    def add(self, images_BCHW: Tensor) -> None:
        """Add samples in the order they were numbered; one that is not finite makes every metric NaN."""
        first, self._added = self._added, self._added + len(images_BCHW)
        features = self._evaluator.features(images_BCHW) if self._finite else None
        if features is None:
            self._finite = False
            return
        if self._final:
            chosen = self._evaluator.compared - first
            chosen = chosen[(chosen >= 0) & (chosen < len(images_BCHW))]
            self._compared.append(images_BCHW[chosen.to(images_BCHW.device)])
            self._features.append(features[: max(0, MANIFOLD - first)].cpu())
        for moments, count in self._parts.values():
            moments.add(features[: max(0, count - first)])

    def metrics(self) -> dict[str, float]:
        """Return the rung's FID and, of a final tally, also KID, precision, recall and nearest training images.

        Raises ValueError unless exactly `count` finite samples were added, for names carry the number.
        """
        recipe = self._evaluator.recipe
        names = list(self._parts)
        if self._final:
            names += [f"{name}_{recipe.count}" for name in ("kid", "precision", "recall")]
            names += ["nearest_train", "nearest_train_ratio"]
        if not self._finite:
            return dict.fromkeys(names, math.nan)
        if self._added != self.count:
            raise ValueError(f"{fid_name(self.count)} is of {self.count} samples, not {self._added}")
        scores = [self._evaluator.fid(moments, count) for moments, count in self._parts.values()]
        return dict(zip(names, scores + self._final_scores() if self._final else scores, strict=True))

    def _final_scores(self) -> list[float]:
        evaluator, features = self._evaluator, torch.cat(self._features)
        reference = evaluator.references.features
        distance = evaluator.training_distance(torch.cat(self._compared))
        held = evaluator.held_distance
        ratio = distance / held if held > 0 else math.nan
        return [kid(features, reference), *precision_recall(features, reference), distance, ratio]
