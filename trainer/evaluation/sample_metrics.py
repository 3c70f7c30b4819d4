"""What FID cannot see in samples: fidelity, variety, and how near they lie to training images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from trainer.evaluation.nearest import nearest_distances
from trainer.evaluation.torch_fidelity import kid, precision_recall
from trainer.recipe import MetricName
from trainer.recipe.metrics import COMPARED, COVERAGE_NEIGHBOURS

if TYPE_CHECKING:
    from trainer.evaluation.evaluator import Evaluator

MANIFOLD = 10_000  # samples, and reference images, whose features are kept
_ROWS = 800  # neighbourhoods whose distances to all samples are held at a time: 32 MB of them


class LaneSamples(NamedTuple):
    """What is kept of one lane's samples: features [N, D] of the first 10,000, and at most 1,000 images [n, C, H, W].

    Features are on the CPU, images on the evaluator's device and a fixed random choice.
    """

    features: Tensor
    images: Tensor


class SampleMetric(Protocol):
    """One metric of a lane's samples, or several that share their work; made once an evaluator and kept with it.

    `names` are in the order of `trainer.recipe.METRICS`. Samples are compared with the evaluator's `data` and
    `references`, which are costly and are read when they are first needed.
    """

    names: ClassVar[tuple[MetricName, ...]]

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return a figure a name, NaN where there is none; all samples and features are finite."""


class Kid:
    """The kernel distance to the reference."""

    names: ClassVar[tuple[MetricName, ...]] = ("kid",)

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return KID."""
        return (kid(samples.features, self._evaluator.references.features),)


class PrecisionRecall:
    """Fidelity and variety by the neighbours of features."""

    names: ClassVar[tuple[MetricName, ...]] = ("precision", "recall")

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return precision and recall."""
        return precision_recall(samples.features, self._evaluator.references.features)


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

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    @cached_property
    def _neighbourhoods(self) -> Neighbourhoods:
        reference = self._evaluator.references.features.to(self._evaluator.device)
        # Distances come from a Gram matrix, which loses the digits of a large mean.
        mean = reference.mean(0)
        centres, k = reference - mean, min(COVERAGE_NEIGHBOURS, len(reference) - 1)
        # The nearest of all is the image itself.
        parts = torch.split(centres, _ROWS)
        radii = [torch.cdist(part, centres).topk(k + 1, largest=False).values[:, -1:] for part in parts]
        return Neighbourhoods(mean, torch.cat(radii), k)

    def scores(self, samples: LaneSamples) -> tuple[float, ...]:
        """Return how often samples lie in a neighbourhood, over k, and the share of these that hold a sample."""
        mean, radii, k = self._neighbourhoods
        features, reference = samples.features.to(mean) - mean, self._evaluator.references.features
        inside, covered = 0, 0
        for part, radius in zip(torch.split(reference, _ROWS), torch.split(radii, _ROWS), strict=True):
            within = torch.cdist(part.to(mean) - mean, features) < radius
            inside += int(within.sum())
            covered += int(within.any(1).sum())
        return inside / (max(k, 1) * len(features)), covered / len(reference)


class NearestTrain:
    """How near samples lie to training images, and beside held-out images; below 1 the model copies."""

    names: ClassVar[tuple[MetricName, ...]] = ("nearest_train", "nearest_train_ratio")

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
SAMPLE_METRICS: tuple[Callable[[Evaluator], SampleMetric], ...] = (Kid, PrecisionRecall, DensityCoverage, NearestTrain)


class KeptSamples:
    """What is kept of K lanes' samples while they stream by, once for all metrics: memory does not grow past it."""

    def __init__(self, count: int) -> None:
        """Take the number of samples that will come."""
        # Any 1,000 of them, by number, and the same for every trial.
        self._chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:COMPARED].sort().values
        self._features: list[Tensor] = []
        self._images: list[Tensor] = []

    def observe(self, first: int, images_KBCHW: Tensor, features_KBD: Tensor) -> None:
        """Add the samples from number `first` on, and their features."""
        chosen = self._chosen - first
        chosen = chosen[(chosen >= 0) & (chosen < images_KBCHW.shape[1])]
        self._images.append(images_KBCHW[:, chosen.to(images_KBCHW.device)])
        self._features.append(features_KBD[:, : max(0, MANIFOLD - first)].cpu())

    def lanes(self) -> Iterator[LaneSamples]:
        """Give each lane's in turn."""
        yield from map(LaneSamples, torch.cat(self._features, 1), torch.cat(self._images, 1))
