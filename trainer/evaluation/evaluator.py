"""Scores samples batch by batch: FID and, at the rungs that need them, the other metrics."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.evaluation.extractors import Extractor, Seen, load_extractor
from trainer.evaluation.frechet import Moments, Reference
from trainer.evaluation.reference_file import ReferenceFile
from trainer.evaluation.references import References, from_file, from_images, moments_of, spatial_from_images
from trainer.evaluation.sample_metrics import SAMPLE_METRICS, KeptSamples, LaneSamples, SampleMetric
from trainer.evaluation.torch_fidelity import frechet_distance, reference_metrics
from trainer.recipe import METRICS, EvalRecipe, MetricName, fid_name
from trainer.runtime.paths import located

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """The moments of a range of lanes' samples, and how many samples it should have."""

    moments: Moments
    wanted: int


class Evaluator:
    """Extractor, reference and training images, with which samples are compared; made at first use and kept.

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
    def cache(self) -> Path:
        """The folder of cached files."""
        return self._cache

    @property
    def extractor_name(self) -> str:
        """Name of the extractor as figures carry it."""
        return self.extractor.name

    @property
    def extractor_sha256(self) -> str:
        """SHA-256 of the extractor's weights."""
        return self.extractor.sha256

    @cached_property
    def _reference_file(self) -> ReferenceFile | None:
        return ReferenceFile(located(self.recipe.reference)) if self.recipe.reference is not None else None

    @property
    def reference_sha256(self) -> str:
        """SHA-256 of the file of reference statistics; empty where samples are compared with the training split."""
        return self._reference_file.sha256 if self._reference_file else ""

    @cached_property
    def references(self) -> References:
        """What samples are compared with: the whole training split, whatever data.limit is, or a file's statistics."""
        if self._reference_file:
            return from_file(self._reference_file, self.extractor, self._cache)
        return from_images(self.data, self.extractor, self._cache)

    @property
    def reference_features(self) -> Tensor:
        """The features of reference images, [M, D]; only where there are images."""
        assert self.references.features is not None
        return self.references.features

    @cached_property
    def spatial_reference(self) -> Reference:
        """The reference's Gaussian of spatial features; only where there is one."""
        spatial = self.references.spatial
        return spatial_from_images(self.data, self.extractor, self._cache) if spatial is None else spatial

    @cached_property
    def _sample_metrics(self) -> tuple[SampleMetric, ...]:
        # Made once: what they compare samples with is costly.
        return tuple(make(self) for make in SAMPLE_METRICS)

    def sample_metrics(self, last: bool, objective: MetricName = "fid") -> list[SampleMetric]:
        """Return the metrics of samples beside FID at the last rung, or at one before it."""
        wanted = [metric for metric in self._sample_metrics if self.recipe.measures(metric.names[0])]
        here = [m for m in wanted if any(METRICS[name].is_measured(last, objective) for name in m.names)]
        return [metric for metric in here if self._has_reference_for(metric)]

    def _has_reference_for(self, metric: SampleMetric) -> bool:
        file = self._reference_file
        if file is None or file.has_images:
            return True
        is_spatial = "spatial features" in metric.needs
        return "reference features" not in metric.needs and (not is_spatial or file.has_spatial)

    def features(self, images_KBCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features [K, B, D] of lanes' samples, and which lanes' [K] and their images are all finite.

        The others' features are 0. The host does not wait for it.
        """
        seen, finite_K = self.look(images_KBCHW, whole=False)
        return seen.features, finite_K

    def look(self, images_KBCHW: Tensor, whole: bool) -> tuple[Seen, Tensor]:
        """Return features likewise and, if `whole`, the extractor's other outputs, each [K, B, ...]."""
        flat, lanes = images_KBCHW.flatten(0, 1), images_KBCHW.shape[:2]
        outputs = self.extractor.look(flat) if whole else Seen(self.extractor(flat))
        seen = [None if part is None else part.view(*lanes, part.shape[1]) for part in outputs]
        finite_K = images_KBCHW.flatten(1).isfinite().all(1)
        for part in seen:
            finite_K = finite_K if part is None else finite_K & part.flatten(1).isfinite().all(1)
        return Seen(*(None if part is None else part.where(finite_K[:, None, None], 0) for part in seen)), finite_K  # type: ignore[arg-type]

    def fids(self, parts: Mapping[str, Part], finite_K: Tensor) -> list[dict[str, float]]:
        """Return each lane's FIDs by name, NaN for a lane that is not finite.

        Raises ValueError for any other number of samples than the part's, since names carry it.
        """
        finite = finite_K.tolist()
        rows = [row for row, good in enumerate(finite) if good]
        by_lane = [dict.fromkeys(parts, math.nan) for _ in finite]
        for name, (moments, wanted) in parts.items():
            if moments.count != wanted:
                raise ValueError(f"{fid_name(wanted)} needs {wanted} samples, not {moments.count}")
            distances = self.references.gaussian.frechet_distance(moments.select(rows))
            for row, distance in zip(rows, distances, strict=True):
                by_lane[row][name] = distance
        return by_lane

    def tally(self, lanes: int, final: bool, objective: MetricName = "fid") -> Tally:
        """Start scoring the samples of some lanes; `final` adds the metrics of the last rung."""
        return Tally(self, lanes, final, objective)

    def check_against_torch_fidelity(self, images_NCHW: Tensor) -> float:
        """Return the relative difference between our FID of images and torch-fidelity's, from images on.

        With a file of reference statistics, which has no images, only torch-fidelity's formula is compared.
        """
        features = self.extractor(images_NCHW)
        gaussian = self.references.gaussian
        (ours,) = gaussian.frechet_distance(moments_of(features))
        if self._reference_file:
            theirs = frechet_distance(features, gaussian.mean, gaussian.covariance)
            return abs(ours - theirs) / max(abs(theirs), 1e-12)
        name = f"{self.extractor_name}-{self.extractor_sha256[:16]}"
        reference = self.data.reference_images.to("cpu")
        scores = reference_metrics(images_NCHW.cpu(), reference, name, self.extractor, ["fid"])
        theirs = scores["frechet_inception_distance"]
        return abs(ours - theirs) / max(abs(theirs), 1e-12)


class Scored(NamedTuple):
    """The metrics, beside FID, of the first `wanted` samples of some lanes."""

    wanted: int
    metrics: Sequence[SampleMetric]
    kept: KeptSamples

    def scores(self, samples: LaneSamples | None) -> dict[str, float]:
        """Return one lane's figures by name; NaN where its samples are not finite, which are None then."""
        scores: dict[str, float] = {}
        for metric in self.metrics:
            names = [METRICS[name].recorded(self.wanted) for name in metric.names]
            values = metric.scores(samples) if samples else [math.nan] * len(names)
            scores |= zip(names, values, strict=True)
        return scores


def _first(seen: Seen, count: int) -> Seen:
    return Seen(*(None if part is None else part[:, :count] for part in seen))  # type: ignore[arg-type]


class Tally:
    """The scores of K lanes' samples so far; before the last rung the host does not wait until it reads them.

    Each lane has `count` samples. The last rung also computes the earlier rungs' FID and objective, on the first of
    them, so that these can be compared over the steps, and with those of all samples.
    """

    def __init__(self, evaluator: Evaluator, lanes: int, final: bool, objective: MetricName) -> None:
        self._evaluator = evaluator
        recipe, dim, device = evaluator.recipe, evaluator.extractor.dim, evaluator.device
        self.count = recipe.samples_at(final)
        counts = {recipe.recorded("fid", last): recipe.samples_at(last) for last in (False, final)}
        self._parts = {name: Part(Moments(lanes, dim, device), count) for name, count in counts.items()}
        # In this order: a metric whose name carries no number is that of all samples.
        wanted = {recipe.samples_at(last): evaluator.sample_metrics(last, objective) for last in (False, final)}
        self._scored = [Scored(count, metrics, KeptSamples(count)) for count, metrics in wanted.items() if metrics]
        needs = {need for scored in self._scored for metric in scored.metrics for need in metric.needs}
        self._whole = bool({"spatial features", "classes"} & needs)
        self._added, self._finite_K = 0, torch.ones(lanes, dtype=torch.bool, device=device)

    @property
    def moments(self) -> Moments:
        """The moments of all samples' features."""
        return self._parts[fid_name(self.count)].moments

    @torch.no_grad()
    def add(self, images_KBCHW: Tensor) -> None:
        """Add samples in the order they were numbered; one that is not finite makes all its lane's metrics NaN."""
        first = self._added
        seen, finite_K = self._evaluator.look(images_KBCHW, self._whole)
        self._added, self._finite_K = first + images_KBCHW.shape[1], self._finite_K & finite_K
        for wanted, _, kept in self._scored:
            if left := max(0, wanted - first):
                kept.observe(first, images_KBCHW[:, :left], _first(seen, left))
        for moments, wanted in self._parts.values():
            moments.add(seen.features[:, : max(0, wanted - first)])

    def metrics(self) -> list[dict[str, float]]:
        """Return each lane's FID and other metrics at this rung; NaN for a lane that is not finite.

        Raises ValueError unless exactly `count` samples were added, since the names carry that number.
        """
        if self._added != self.count:
            raise ValueError(f"{fid_name(self.count)} needs {self.count} samples, not {self._added}")
        fids = self._evaluator.fids(self._parts, self._finite_K)
        for scored in self._scored:
            lanes = zip(fids, scored.kept.lanes(), self._finite_K, strict=True)
            fids = [so_far | scored.scores(samples if good else None) for so_far, samples, good in lanes]
        return fids
