"""Metrics of samples beside FID: fidelity, variety, and distance to training images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from trainer.evaluation.class_score import ClassTotals
from trainer.evaluation.cmmd import cmmd, mean_kernel
from trainer.evaluation.frechet import Moments
from trainer.evaluation.nearest import nearest_distances
from trainer.evaluation.torch_fidelity import kid, precision_recall
from trainer.evaluation.vendi_score import vendi_score
from trainer.recipe import MetricName
from trainer.recipe.metrics import COMPARED, COVERAGE_NEIGHBOURS, MANIFOLD, SCORE_SPLITS

if TYPE_CHECKING:
    from trainer.evaluation.evaluator import Evaluator
    from trainer.evaluation.extractors import Seen

_ROWS = 800  # neighbourhoods whose distances to all samples are held at a time: 32 MB of them


class LaneSamples(NamedTuple):
    """The data kept of one lane's samples: features [N, D] of the first 10,000, and at most 1,000 images [n, C, H, W].

    Features are on the CPU, images on the evaluator's device and a fixed random choice. Of all samples, where a metric
    needs them: the moments of their spatial features, and their class score.
    """

    features: Tensor
    images: Tensor
    spatial: Moments | None = None
    class_score: float = math.nan


# The data a metric needs beside samples' features and images; not every extractor or reference has it.
Need = Literal["reference features", "spatial features", "classes"]


class SampleMetric(Protocol):
    """One metric of a lane's samples, or several that share their work; made once an evaluator and kept with it.

    `names` are in the order of `trainer.recipe.METRICS`. Samples are compared with the evaluator's `data` and
    `references`, which are costly and are read when they are first needed.
    """

    names: ClassVar[tuple[MetricName, ...]]
    needs: ClassVar[frozenset[Need]]

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return one figure per name, NaN where there is none; all samples and features are finite."""


class SpatialFrechet:
    """The Frechet distance of spatial features: Inception's, which makes it sFID (Nash et al. 2021, arXiv:2103.03841).

    It depends on where things are in an image, which FID ignores.
    """

    names: ClassVar[tuple[MetricName, ...]] = ("sfid",)
    needs: ClassVar[frozenset[Need]] = frozenset({"spatial features"})

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return the distance."""
        assert samples.spatial is not None
        return tuple(self._evaluator.spatial_reference.frechet_distance(samples.spatial))


class DomainSpatialFrechet(SpatialFrechet):
    """The same with the domain extractor, under a name of its own."""

    names: ClassVar[tuple[MetricName, ...]] = ("spatial_fid",)


class Kid:
    """The kernel distance to the reference."""

    names: ClassVar[tuple[MetricName, ...]] = ("kid",)
    needs: ClassVar[frozenset[Need]] = frozenset({"reference features"})

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return KID."""
        return (kid(samples.features, self._evaluator.reference_features),)


class Cmmd:
    """The kernel distance of CLIP's features."""

    names: ClassVar[tuple[MetricName, ...]] = ("cmmd",)
    needs: ClassVar[frozenset[Need]] = frozenset({"reference features"})

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    @cached_property
    def _within_reference(self) -> float:
        return mean_kernel(self._evaluator.reference_features, self._evaluator.reference_features)

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return CMMD."""
        between = mean_kernel(samples.features, self._evaluator.reference_features)
        return (cmmd(mean_kernel(samples.features, samples.features), self._within_reference, between),)


class PrecisionRecall:
    """Fidelity and variety by the neighbours of features."""

    names: ClassVar[tuple[MetricName, ...]] = ("precision", "recall")
    needs: ClassVar[frozenset[Need]] = frozenset({"reference features"})

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return precision and recall."""
        return precision_recall(samples.features, self._evaluator.reference_features)


class Neighbourhoods(NamedTuple):
    """Balls about the reference's features, less their mean [D]: radii [M, 1] to the k-th neighbour."""

    mean: Tensor
    radii: Tensor
    k: int


class DensityCoverage:
    """Fidelity and variety by the reference's neighbourhoods alone, so that stray samples do not raise them.

    Naeem et al. 2020, arXiv:2002.09797. Samples of the reference's own distribution have a density of 1 on average
    and, as many as the reference, a coverage of about 1 - 2^-k; copies of a part of it are dense and cover little.
    """

    names: ClassVar[tuple[MetricName, ...]] = ("density", "coverage")
    needs: ClassVar[frozenset[Need]] = frozenset({"reference features"})

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    @cached_property
    def _neighbourhoods(self) -> Neighbourhoods:
        reference = self._evaluator.reference_features.to(self._evaluator.device)
        # Distances come from a Gram matrix, which loses the digits of a large mean.
        mean = reference.mean(0)
        centres, k = reference - mean, min(COVERAGE_NEIGHBOURS, len(reference) - 1)
        # The nearest one is the image itself.
        parts = torch.split(centres, _ROWS)
        radii = [torch.cdist(part, centres).topk(k + 1, largest=False).values[:, -1:] for part in parts]
        return Neighbourhoods(mean, torch.cat(radii), k)

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return density (neighbourhoods per sample, over k) and coverage (the share of them that hold a sample)."""
        mean, radii, k = self._neighbourhoods
        features, reference = samples.features.to(mean) - mean, self._evaluator.reference_features
        inside, covered = 0, 0
        for part, radius in zip(torch.split(reference, _ROWS), torch.split(radii, _ROWS), strict=True):
            within = torch.cdist(part.to(mean) - mean, features) < radius
            inside += int(within.sum())
            covered += int(within.any(1).sum())
        return inside / (max(k, 1) * len(features)), covered / len(reference)


class Vendi:
    """How many different samples there are in effect; needs no reference."""

    names: ClassVar[tuple[MetricName, ...]] = ("vendi",)
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, evaluator: Evaluator) -> None:
        self._device = evaluator.device

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return the Vendi score."""
        return (vendi_score(samples.features.to(self._device)),)


class InceptionScore:
    """How sure a classifier is of each sample, and how many classes it sees; needs no reference."""

    names: ClassVar[tuple[MetricName, ...]] = ("inception_score",)
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    def __init__(self, evaluator: Evaluator) -> None:
        """Ignore the evaluator: the score needs only the running sums."""

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return the score."""
        return (samples.class_score,)


class ClassifierScore(InceptionScore):
    """The same with the domain extractor, whose classes are the data set's; a name of its own avoids confusion."""

    names: ClassVar[tuple[MetricName, ...]] = ("classifier_score",)


class NearestTrain:
    """How near samples lie to training images, and beside held-out images; below 1 the model copies."""

    names: ClassVar[tuple[MetricName, ...]] = ("nearest_train", "nearest_train_ratio")
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, evaluator: Evaluator) -> None:
        self._data, self._device = evaluator.data, evaluator.device

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return the median distance of samples, and its ratio to that of held-out images."""
        distance, held = self.distance(samples.images), self.held_distance
        return distance, distance / held if held > 0 else math.nan

    @cached_property
    def held_distance(self) -> float:
        """Median distance of at most 1,000 held-out images to their nearest training image."""
        stride = math.ceil(len(self._data.held_images) / COMPARED)
        return self.distance(self._data.held_images[::stride])

    def distance(self, images_NCHW: Tensor) -> float:
        """Median L2 distance of images to their nearest training image, pixels clipped to [-1, 1]."""
        images = images_NCHW.clamp(-1, 1) if self._data.pixels else images_NCHW
        return float(nearest_distances(images.to(self._device), self._data.train_images).median())


# In the order of a record.
SAMPLE_METRICS: tuple[Callable[[Evaluator], SampleMetric], ...] = (
    SpatialFrechet,
    DomainSpatialFrechet,
    Kid,
    Cmmd,
    PrecisionRecall,
    DensityCoverage,
    Vendi,
    InceptionScore,
    ClassifierScore,
    NearestTrain,
)


class KeptSamples:
    """The data kept of K lanes' samples, once for all metrics; memory is bounded however many samples come."""

    def __init__(self, count: int) -> None:
        """`count` is how many samples each lane will have."""
        # Any 1,000 of them, by number, and the same for every trial.
        self._chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:COMPARED].sort().values
        self._features: list[Tensor] = []
        self._images: list[Tensor] = []
        self._classes = ClassTotals(count, SCORE_SPLITS)
        self._spatial: Moments | None = None
        self._has_classes = False

    def observe(self, first: int, images_KBCHW: Tensor, seen: Seen) -> None:
        """Add the samples from number `first` on, and the extractor's outputs for them, each [K, B, ...]."""
        chosen = self._chosen - first
        chosen = chosen[(chosen >= 0) & (chosen < images_KBCHW.shape[1])]
        self._images.append(images_KBCHW[:, chosen.to(images_KBCHW.device)])
        self._features.append(seen.features[:, : max(0, MANIFOLD - first)].cpu())
        if seen.spatial is not None:
            lanes, _, dim = seen.spatial.shape
            self._spatial = self._spatial or Moments(lanes, dim, seen.spatial.device)
            self._spatial.add(seen.spatial)
        if seen.logits is not None:
            self._has_classes = True
            self._classes.observe(first, seen.logits)

    def lanes(self) -> Iterator[LaneSamples]:
        """Give each lane's in turn."""
        features, images = torch.cat(self._features, 1), torch.cat(self._images, 1)
        scores = self._classes.scores() if self._has_classes else [math.nan] * len(features)
        for lane, score in enumerate(scores):
            spatial = self._spatial.select([lane]) if self._spatial else None
            yield LaneSamples(features[lane], images[lane], spatial, score)
