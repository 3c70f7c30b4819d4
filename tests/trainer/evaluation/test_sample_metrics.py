"""Where each metric is computed, and what is kept of samples for it."""

from __future__ import annotations

from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.evaluation import sample_metrics
from trainer.evaluation.domain_extractor import DIM
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import Seen
from trainer.evaluation.held_out import HELD_OUT_METRICS
from trainer.evaluation.sample_metrics import SAMPLE_METRICS, DensityCoverage, KeptSamples, LaneSamples
from trainer.recipe import METRICS, EvalRecipe

CPU = torch.device("cpu")


def test_every_metric_is_computed_in_one_place_and_every_place_has_descriptors(evaluator: Evaluator) -> None:
    of_samples = [name for make in SAMPLE_METRICS for name in make(evaluator).names]
    computed = ["fid", *HELD_OUT_METRICS, *of_samples]
    assert {*METRICS} - {*computed} == set(), "nothing computes these"
    assert {*computed} - {*METRICS} == set(), "these have no descriptor"
    assert len({*computed}) == len(computed)
    assert sorted(of_samples, key=list(METRICS).index) == of_samples


def test_metrics_that_share_their_work_are_measured_at_the_same_rungs(evaluator: Evaluator) -> None:
    for make in SAMPLE_METRICS:
        assert len({METRICS[name].measured for name in make(evaluator).names}) == 1


def test_what_samples_are_compared_with_is_worked_out_once_an_evaluator(evaluator: Evaluator) -> None:
    first, second = evaluator.sample_metrics(last=True), evaluator.sample_metrics(last=True)
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_a_metric_of_every_rung_is_measured_before_the_last_one_of_the_samples_there(
    digits: Dataset, extractor_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator(EvalRecipe(samples=300, rung_samples=200), digits, extractor_cache, CPU)
    monkeypatch.setitem(METRICS, "recall", METRICS["recall"]._replace(measured="every rung"))
    monkeypatch.setitem(METRICS, "precision", METRICS["precision"]._replace(measured="every rung"))
    tally = evaluator.tally(1, final=False)
    tally.add(digits.held_images[:200][None])
    (metrics,) = tally.metrics()
    assert list(metrics) == ["fid_200", "precision_200", "recall_200"]
    alone = Evaluator(EvalRecipe(samples=200), digits, extractor_cache, CPU).tally(1, final=True)
    alone.add(digits.held_images[:200][None])
    assert alone.metrics()[0]["recall_200"] == metrics["recall_200"]


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_kept_are_the_first_features_and_a_fixed_choice_of_images_however_samples_were_batched(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_metrics, "MANIFOLD", 20)
    monkeypatch.setattr(sample_metrics, "COMPARED", 10)
    images, features = torch.randn(3, 60, 1, 2, 2), torch.randn(3, 60, 5)
    kept = KeptSamples(60)
    for first in range(0, 60, batch):
        kept.observe(first, images[:, first : first + batch], Seen(features[:, first : first + batch]))
    chosen = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:10].sort().values
    for lane, samples in enumerate(kept.lanes()):
        assert torch.equal(samples.features, features[lane, :20])
        assert torch.equal(samples.images, images[lane, chosen])


def cloud(count: int, seed: int, dim: int = 6) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def density_coverage(features: Tensor, reference: Tensor) -> tuple[float, ...]:
    evaluator = SimpleNamespace(reference_features=reference, device=CPU)
    return DensityCoverage(evaluator).scores(LaneSamples(features, features))


@pytest.mark.parametrize(("samples", "images"), [(40, 50), (50, 40), (1, 50), (30, 3)])
@pytest.mark.parametrize("rows", [1, 7, 800])
def test_density_and_coverage_are_those_of_the_paper_neighbour_by_neighbour(
    samples: int, images: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_metrics, "_ROWS", rows)
    fake, real = 0.8 * cloud(samples, 0) + 0.3, cloud(images, 1)
    x, y, k = fake.double().numpy(), real.double().numpy(), min(5, images - 1)
    radii = [sorted(float(np.linalg.norm(a - b)) for j, b in enumerate(y) if j != i)[k - 1] for i, a in enumerate(y)]
    within = [[np.linalg.norm(a - b) < radius for b in x] for a, radius in zip(y, radii, strict=True)]
    density = sum(map(sum, within)) / (k * samples)
    coverage = sum(map(any, within)) / images
    assert density_coverage(fake, real) == pytest.approx((density, coverage), abs=1e-9)


@pytest.mark.parametrize("samples", [500, 1500])
def test_samples_of_the_references_own_distribution_have_the_expected_density_and_coverage(samples: int) -> None:
    images, k = 1000, 5
    found = [density_coverage(cloud(samples, 2 * i), cloud(images, 2 * i + 1)) for i in range(4)]
    missed = prod((images - i) / (samples + images - i) for i in range(1, k + 1))
    density, coverage = np.mean(found, axis=0)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - missed, abs=0.01)


def test_coverage_falls_with_every_mode_that_is_missing_while_density_does_not() -> None:
    modes = [cloud(100, seed) + 50 * torch.eye(6)[seed] for seed in range(6)]
    again = [cloud(100, 10 + seed) + 50 * torch.eye(6)[seed] for seed in range(6)]
    scores = [density_coverage(torch.cat(again[:kept]), torch.cat(modes)) for kept in (6, 4, 2, 1)]
    densities, coverages = zip(*scores, strict=True)
    assert coverages == pytest.approx([kept / 6 * 0.97 for kept in (6, 4, 2, 1)], abs=0.03)
    assert min(densities) > 0.8


def test_strays_do_not_raise_density_or_coverage() -> None:
    fake, real = cloud(300, 0), cloud(300, 1)
    density, coverage = density_coverage(fake, real)
    strays = torch.cat([fake, 1000 + cloud(300, 2)])
    assert density_coverage(strays, real) == pytest.approx((density / 2, coverage))


def test_features_far_from_zero_cost_no_digits() -> None:
    fake, real = cloud(300, 0, 64), cloud(300, 1, 64)
    assert density_coverage(fake + 500, real + 500) == pytest.approx(density_coverage(fake, real), abs=2e-3)


def test_neighbourhoods_are_found_once_and_the_references_features_are_not_kept_twice(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, features = DensityCoverage(evaluator), evaluator.references.features[:200]
    first = metric.scores(LaneSamples(features, features))
    monkeypatch.setattr(Tensor, "topk", None)
    assert metric.scores(LaneSamples(features, features)) == first
    assert sum(part.numel() for part in metric._neighbourhoods[:2]) == len(evaluator.references.features) + DIM
