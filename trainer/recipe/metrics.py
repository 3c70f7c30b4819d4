"""The metrics: one descriptor each, which determines its name in a record and everything a guide says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

MetricName = Literal[
    "fid",
    "val_loss",
    "sfid",
    "spatial_fid",
    "kid",
    "cmmd",
    "precision",
    "recall",
    "density",
    "coverage",
    "vendi",
    "inception_score",
    "classifier_score",
    "nearest_train",
    "nearest_train_ratio",
]
# Those that a recipe has to ask for.
OptionalMetric = Literal["spatial_fid", "classifier_score"]
PretrainedName = Literal["inception", "clip", "dinov2"]
ExtractorName = Literal["domain", "inception", "clip", "dinov2"]
# Names of the Frechet distance with extractors where it is not FID; records call all of them fid.
DISTANCES: Mapping[ExtractorName, str] = {"clip": "FD-CLIP", "dinov2": "FD-DINOv2"}
Better = Literal["lower", "higher"]
Place = Literal["objective", "claimed", "shown", "left out"]

KID_SUBSETS = 25
KID_SUBSET = 1000  # samples in a subset, at most
MANIFOLD = 10_000  # samples, and reference images, whose features are kept
NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5
COMPARED = 1000  # samples, and held-out images, whose distance to all training images is measured
VALIDATION_IMAGES = 2048  # at most
VALIDATION_DRAWS = 4  # of time and noise for each image
PROBE_IMAGES = 2000  # a linear probe is fitted on, at most
PROBE_NEIGHBOURS = 10
PROBE_PENALTY = 0.01  # of ridge regression, a training image
SCORE_SPLITS = 10  # parts of the samples whose Inception scores are averaged
SPATIAL_CHANNELS = 7  # of the feature map that sFID looks at


class Metric(NamedTuple):
    """A metric, however it is computed: that is in `trainer.evaluation`.

    `words` name it for readers. A `counted` metric is of the samples whose number its recorded name carries, for it
    cannot be compared across numbers. `better` is None where neither direction is. Unless a study says otherwise, the
    guide judges settings by it ('objective'), makes claims about it on fresh seeds ('claimed'), shows it among the
    other outcomes ('shown') or leaves it to the record; claims share a chance of error, so a further one costs the
    others power. `protocol` says how it is measured; metrics that share their work share those words. `through` names
    the extractors it exists for, all if empty; an `optional` one is measured where the recipe asks for it. One that is
    not `positive` may be 0 or less, and then has no ratio to another; one that is not `sampled` is of held-out images
    alone. One that comes in steps is a share of at most `steps` samples or images, or comparisons of both; 0 for any
    other. `shows` ends the sentence "it shows ..." in the guide of a study that judges by it.
    """

    name: MetricName
    words: str
    better: Better | None
    measured: Literal["every rung", "last rung"]
    guide: Place
    protocol: str = ""
    counted: bool = False
    through: tuple[ExtractorName, ...] = ()
    optional: bool = False
    positive: bool = True
    sampled: bool = True
    shows: str = ""
    steps: int = 0

    def recorded(self, samples: int) -> str:
        """Return its name in a record: 'recall_10k' of 10,000 samples, and 'val_loss' of any number."""
        return f"{self.name}_{_short(samples)}" if self.counted else self.name

    def is_measured(self, last: bool, objective: MetricName = "fid") -> bool:
        """Return whether it belongs to the last rung, or to one before it, where trials are judged by `objective`."""
        return last or self.measured == "every rung" or self.name == objective

    @property
    def ranks(self) -> bool:
        """Whether trials can be judged by it: one direction is better, and ratios are always defined."""
        return self.better is not None and self.positive


_VALIDATION = f"validation loss on up to {VALIDATION_IMAGES:,} held-out images, {VALIDATION_DRAWS} draws each"
_KID = f"KID over {KID_SUBSETS} subsets of up to {KID_SUBSET:,}"
_FIDELITY = f"precision and recall with {NEIGHBOURS} neighbours"
_COVERAGE = f"density and coverage with {COVERAGE_NEIGHBOURS} neighbours"
_NEAREST = f"nearest training images of {COMPARED:,} samples"
_SFID = f"sFID of the first {SPATIAL_CHANNELS} channels of Inception's mixed_6"
_SPATIAL = f"spatial FID of the first {SPATIAL_CHANNELS} channels of the domain extractor's second convolution"
_CMMD = "CMMD of CLIP features, Gaussian kernel of sigma 10, times 1,000"
_VENDI = "Vendi score of the cosines of up to 10,000 samples' features"
_INCEPTION_SCORE = f"Inception score over {SCORE_SPLITS} splits"
_CLASSIFIER_SCORE = f"classifier score: Inception score's formula, domain extractor's classes, {SCORE_SPLITS} splits"
_FIT = "how well the model predicts images it has never seen"
_PLACE = "whether things in samples are where they are in the data"
_ALIKE = "how alike samples and data are"
_LIKE_DATA = "how much samples look like data, not how varied they are"
_COVERED = "how much of the data's variety samples have, not how good each is"
_VARIED = "how varied samples are, not how good each is"
_CLEAR = "how clear and varied the classes of samples are"
_APART = "how far samples keep from training images, not how good they are"

# In the order of tables. FID has no words for the protocol: it is the objective, and the other lines are about it.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("fid", "FID", "lower", "every rung", "objective", counted=True),
        Metric("val_loss", "validation loss", "lower", "last rung", "claimed", _VALIDATION, sampled=False, shows=_FIT),
        Metric(
            "sfid", "sFID", "lower", "last rung", "shown", _SFID, counted=True, through=("inception",), shows=_PLACE
        ),
        Metric(
            "spatial_fid",
            "spatial FID",
            "lower",
            "last rung",
            "shown",
            _SPATIAL,
            counted=True,
            through=("domain",),
            optional=True,
            shows=_PLACE,
        ),
        Metric("kid", "KID", "lower", "last rung", "shown", _KID, counted=True, positive=False),
        Metric("cmmd", "CMMD", "lower", "last rung", "shown", _CMMD, counted=True, through=("clip",), shows=_ALIKE),
        Metric(
            "precision",
            "precision",
            "higher",
            "last rung",
            "shown",
            _FIDELITY,
            counted=True,
            shows=_LIKE_DATA,
            steps=MANIFOLD,
        ),
        Metric(
            "recall",
            "recall",
            "higher",
            "last rung",
            "claimed",
            _FIDELITY,
            counted=True,
            shows=_COVERED,
            steps=MANIFOLD,
        ),
        Metric(
            "density",
            "density",
            "higher",
            "last rung",
            "shown",
            _COVERAGE,
            counted=True,
            shows=_LIKE_DATA,
            steps=COVERAGE_NEIGHBOURS * MANIFOLD,
        ),
        Metric(
            "coverage",
            "coverage",
            "higher",
            "last rung",
            "shown",
            _COVERAGE,
            counted=True,
            shows=_COVERED,
            steps=MANIFOLD,
        ),
        Metric("vendi", "Vendi score", "higher", "last rung", "shown", _VENDI, counted=True, shows=_VARIED),
        Metric(
            "inception_score",
            "Inception score",
            "higher",
            "last rung",
            "shown",
            _INCEPTION_SCORE,
            counted=True,
            through=("inception",),
            shows=_CLEAR,
        ),
        Metric(
            "classifier_score",
            "classifier score",
            "higher",
            "last rung",
            "shown",
            _CLASSIFIER_SCORE,
            counted=True,
            through=("domain",),
            optional=True,
            shows=_CLEAR,
        ),
        Metric("nearest_train", "nearest-image distance", None, "last rung", "left out", _NEAREST),
        Metric("nearest_train_ratio", "nearest-image ratio", "higher", "last rung", "claimed", _NEAREST, shows=_APART),
    )
}
_COUNTED = re.compile(r"(.+)_([1-9]\d*k?)")


class Recorded(NamedTuple):
    """A metric as a record names it; `samples` is their number as written there, e.g. '10k', or empty."""

    name: str
    metric: Metric
    samples: str


def recorded_metric(name: str) -> Recorded | None:
    """Find the metric that a name of a record means; other recorded values are none.

    >>> recorded_metric("recall_10k").metric.better, recorded_metric("train_loss"), recorded_metric("recall")
    ('higher', None, None)
    """
    counted = _COUNTED.fullmatch(name)
    bare, samples = counted.groups() if counted else (name, "")
    metric = METRICS.get(bare)
    return Recorded(name, metric, samples) if metric and metric.counted == bool(samples) else None


def recorded_metrics(names: Iterable[str]) -> list[Recorded]:
    """Find the metrics among names of a record, in the order of tables."""
    metrics = [known for known in map(recorded_metric, names) if known]
    order = list(METRICS)
    return sorted(metrics, key=lambda known: (order.index(known.metric.name), known.name))


def _short(samples: int) -> str:
    return f"{samples // 1000}k" if samples % 1000 == 0 else str(samples)
