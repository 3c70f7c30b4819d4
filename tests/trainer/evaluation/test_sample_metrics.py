"""Where each metric is computed, and what is kept of samples for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.data.dataset import Dataset
from trainer.evaluation import sample_metrics
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.held_out import HELD_OUT_METRICS
from trainer.evaluation.sample_metrics import SAMPLE_METRICS, KeptSamples
from trainer.recipe import METRICS, EvalRecipe

CPU = torch.device("cpu")


def test_every_metric_is_computed_in_one_place_and_every_place_has_descriptors(evaluator: Evaluator) -> None:
    of_samples = [name for make in SAMPLE_METRICS for name in make(evaluator).names]
    assert sorted(["fid", *HELD_OUT_METRICS, *of_samples]) == sorted(METRICS)
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
        kept.observe(first, images[:, first : first + batch], features[:, first : first + batch])
    chosen = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:10].sort().values
    for lane, samples in enumerate(kept.lanes()):
        assert torch.equal(samples.features, features[lane, :20])
        assert torch.equal(samples.images, images[lane, chosen])
