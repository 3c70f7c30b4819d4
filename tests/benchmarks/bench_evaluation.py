"""What a rung's evaluation costs on one core, part by part, and the FID of wide features beside torch-fidelity's.

`python -m tests.benchmarks.bench_evaluation`; prints markdown tables.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.frechet import Moments, Reference
from trainer.evaluation.sample_metrics import DensityCoverage, LaneSamples, NearestTrain
from trainer.evaluation.torch_fidelity import kid, precision_recall, torch_fidelity
from trainer.evaluation.vendi_score import vendi_score
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.runtime.process import prepare
from trainer.training.cohort import Cohort

WIDE, MANY = 2048, 10_000
TRAINED = 50  # steps, so that samples are not noise; the cost does not depend on it


class Part(NamedTuple):
    """A part of an evaluation, with the CPU seconds of every repetition."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """The median of the repetitions."""
        return statistics.median(self.seconds)


def timed(work: Callable[[], object], repeat: int) -> list[float]:
    """Return the CPU seconds of doing it again and again; of one thread, so wall seconds on an idle machine."""
    found = []
    for _ in range(repeat):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return found


def rung(repeat: int, cache: Path) -> list[Part]:
    """Evaluate the digits-compact baseline: the whole rung, the last rung with all its metrics, and their parts."""
    recipe = Recipe.model_validate({"train": {"steps": TRAINED + 1}})
    data, device = load(recipe.data), torch.device("cpu")
    evaluator = Evaluator(recipe.eval, data, cache, device)
    cohort = Cohort(recipe, [Lane(Dispersion(), 0)], data, device, evaluator)
    cohort.advance(TRAINED)
    cohort.measure()  # extractor and reference are made once a data set
    samples = cohort.draw(0, recipe.eval.samples)
    features = evaluator.extractor(samples)
    reference, real = evaluator.references, evaluator.reference_features

    def fid() -> float:
        moments = Moments(1, evaluator.extractor.dim, device)
        moments.add(features[None])
        return reference.gaussian.frechet_distance(moments)[0]

    balls = DensityCoverage(evaluator)
    parts = [
        Part(
            f"a rung: {recipe.eval.samples:,} samples to {recipe.eval.recorded('fid')}", timed(cohort.measure, repeat)
        ),
        Part("of it drawing samples", timed(lambda: cohort.draw(0, recipe.eval.samples), repeat)),
        Part("features", timed(lambda: evaluator.extractor(samples), repeat)),
        Part("moments and FID", timed(fid, repeat)),
        Part("last rung only: KID", timed(lambda: kid(features, real), 1)),
        Part("precision and recall", timed(lambda: precision_recall(features, real), 1)),
        Part("density and coverage", timed(lambda: balls.scores(LaneSamples(features, features)), 1)),
        Part("Vendi score", timed(lambda: vendi_score(features), repeat)),
        Part("distance to training images", timed(lambda: NearestTrain(evaluator).distance(samples[:1000]), 1)),
    ]
    cohort.advance(TRAINED + 1)
    return [*parts, Part("the last rung", timed(cohort.measure, repeat))]


class Wide(NamedTuple):
    """FID of 2,048 features: seconds of ours with its reference kept, of torch-fidelity's, and how far they differ."""

    ours: list[float]
    theirs: list[float]
    difference: float


def wide(repeat: int) -> Wide:
    """Score 10,000 samples of 2,048 correlated features, in turns with torch-fidelity."""
    random = torch.Generator().manual_seed(0)
    mix = torch.randn(WIDE, WIDE, generator=random) / WIDE**0.5

    def features(shift: float) -> Tensor:
        return torch.randn(MANY, WIDE, generator=random) @ mix + shift

    drawn, real = Moments(1, WIDE, "cpu"), Moments(1, WIDE, "cpu")
    drawn.add(features(0.02)[None])
    real.add(features(0.0)[None])
    reference = Reference(real.mean[0], real.covariance[0])
    torch_fidelity()
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    ours, theirs = [], []
    for _ in range(repeat):
        begun = time.process_time()
        (distance,) = reference.frechet_distance(drawn)
        ours.append(time.process_time() - begun)
        begun = time.process_time()
        other = float(
            fid_statistics_to_metric(_statistics(drawn), _statistics(real), verbose=False)["frechet_inception_distance"]
        )
        theirs.append(time.process_time() - begun)
    return Wide(ours, theirs, abs(distance - other) / other)


def _statistics(moments: Moments) -> dict[str, npt.NDArray[np.float64]]:
    return {"mu": moments.mean[0].numpy(), "sigma": moments.covariance[0].numpy()}


def tables(repeat: int) -> str:
    """Measure and return both tables."""
    with tempfile.TemporaryDirectory() as cache:
        parts = rung(repeat, Path(cache))
    rows = "\n".join(f"| {part.name} | {part.median:.2f} s |" for part in parts)
    found = wide(max(1, repeat // 2))
    ratio = statistics.median(b / a for a, b in zip(found.ours, found.theirs, strict=True))
    return (
        f"Goals: a rung within 12 s; FID of {WIDE:,} features within 1.5 s.\n\n"
        f"| evaluation of digits-compact, one core | CPU time |\n|---|---|\n{rows}\n\n"
        f"FID of {WIDE:,} features: {statistics.median(found.ours):.2f} s, torch-fidelity "
        f"{statistics.median(found.theirs):.2f} s ({ratio:.1f}x), relative difference {found.difference:.1e}."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    prepare(threads=1)
    print(tables(given.repeat))


if __name__ == "__main__":
    main()
