from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.dataset import Dataset, load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.held_out import HELD_OUT_METRICS
from trainer.evaluation.references import VERSION
from trainer.evaluation.sample_metrics import NearestTrain
from trainer.evaluation.torch_fidelity import kid, precision_recall, torch_fidelity
from trainer.recipe import METRICS, DataRecipe, EvalRecipe

CPU = torch.device("cpu")


def score(evaluator: Evaluator, images: Tensor, final: bool = False, batch: int = 100) -> dict[str, float]:
    tally = evaluator.tally(1, final)
    for part in images.split(batch):
        tally.add(part[None])
    (metrics,) = tally.metrics()
    return metrics


def drawn(data: Dataset, noise: float, count: int = 600, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    chosen = data.reference_images[torch.randint(len(data.reference_images), (count,), generator=random)]
    return chosen + noise * torch.randn(chosen.shape, generator=random)


def blurred(images: Tensor, times: int) -> Tensor:
    for _ in range(times):
        images = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return images


@pytest.fixture(scope="module")
def held(digits: Dataset, extractor_cache: Path) -> Evaluator:
    """An evaluator that takes as many samples as there are held-out digits."""
    return Evaluator(EvalRecipe(samples=len(digits.held_images)), digits, extractor_cache, CPU)


def test_fid_grows_with_noise_with_blur_and_with_every_class_that_is_missing(
    digits: Dataset, held: Evaluator, extractor_cache: Path
) -> None:
    images, labels = digits.held_images[:], digits.held_labels
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, generator=random)
    noisy = [score(held, images + level * noise)["fid_359"] for level in (0, 0.1, 0.2, 0.4, 0.8)]
    soft = [score(held, blurred(images, times))["fid_359"] for times in range(4)]
    assert noisy == sorted(noisy)
    assert soft == sorted(soft)
    fewer = []
    for missing in range(5):
        kept = images[labels >= missing]
        evaluator = Evaluator(EvalRecipe(samples=len(kept)), digits, extractor_cache, CPU)
        fewer += score(evaluator, kept).values()
    assert fewer == sorted(fewer)
    assert fewer[1] > 3 * fewer[0]


def test_fid_equals_torch_fidelitys_to_one_in_a_million_and_no_costlier_metric_is_computed(
    digits: Dataset, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_fidelity()
    from torch_fidelity import metrics

    for costly in ("kid_featuresdict_to_metric", "prc_featuresdict_to_metric"):
        monkeypatch.setattr(metrics, costly, None)
    images = drawn(digits, 0.3)
    assert evaluator.check_against_torch_fidelity(images) < 1e-6


def test_the_check_notices_a_reference_that_is_not_the_data_sets(digits: Dataset, extractor_cache: Path) -> None:
    evaluator = Evaluator(EvalRecipe(samples=600), digits, extractor_cache, CPU)
    evaluator.references.gaussian.mean += 0.01
    assert evaluator.check_against_torch_fidelity(drawn(digits, 0.3)) > 1e-4


def test_metrics_do_not_depend_on_how_samples_were_batched(digits: Dataset, evaluator: Evaluator) -> None:
    images = drawn(digits, 0.2)
    whole, parts = score(evaluator, images, final=True, batch=600), score(evaluator, images, final=True, batch=77)
    assert whole == pytest.approx(parts, rel=1e-4)


def test_a_rung_gives_the_objective_and_the_last_rung_the_rest(digits: Dataset, evaluator: Evaluator) -> None:
    images = drawn(digits, 0.2)
    rung, last = score(evaluator, images), score(evaluator, images, final=True)
    assert list(rung) == ["fid_600"]
    assert list(last) == [
        metric.recorded(600)
        for name, metric in METRICS.items()
        if name not in HELD_OUT_METRICS and evaluator.recipe.measures(name)
    ]
    assert last["fid_600"] == rung["fid_600"]
    assert all(math.isfinite(value) for value in last.values())


@pytest.mark.parametrize("batch", [600, 77])
def test_an_earlier_rung_scores_the_first_samples_alone_and_the_last_one_both(
    digits: Dataset, extractor_cache: Path, evaluator: Evaluator, batch: int
) -> None:
    images = drawn(digits, 0.2)
    fewer = Evaluator(EvalRecipe(samples=600, rung_samples=250), digits, extractor_cache, CPU)
    alone = Evaluator(EvalRecipe(samples=250), digits, extractor_cache, CPU)
    early, last = score(fewer, images[:250], batch=batch), score(fewer, images, final=True, batch=batch)
    assert early == {"fid_250": pytest.approx(score(alone, images[:250])["fid_250"], rel=1e-6)}
    assert last["fid_250"] == pytest.approx(early["fid_250"], rel=1e-6)
    del last["fid_250"]
    assert last == score(evaluator, images, final=True, batch=batch)


@pytest.mark.parametrize("count", [249, 251])
def test_another_number_of_samples_than_the_name_says_is_refused(
    digits: Dataset, extractor_cache: Path, count: int
) -> None:
    fewer = Evaluator(EvalRecipe(samples=600, rung_samples=250), digits, extractor_cache, CPU)
    with pytest.raises(ValueError, match=f"fid_250 needs 250 samples, not {count}"):
        score(fewer, drawn(digits, 0.2)[:count])


def test_copies_of_training_images_have_a_better_fid_but_no_distance(digits: Dataset, evaluator: Evaluator) -> None:
    copies, noisy = drawn(digits, 0.0), drawn(digits, 0.3)
    copied, honest = score(evaluator, copies, final=True), score(evaluator, noisy, final=True)
    assert copied["fid_600"] < honest["fid_600"]
    assert copied["nearest_train"] == copied["nearest_train_ratio"] == 0
    assert honest["nearest_train"] > 1


def test_held_out_images_are_as_far_from_training_images_as_the_ratio_says(held: Evaluator) -> None:
    metrics = score(held, held.data.held_images[:], final=True)
    pairs = (held.data.held_images[:][:, None] - held.data.train_images[:][None]).flatten(2).norm(dim=2)
    assert metrics["nearest_train"] == pytest.approx(float(pairs.min(1).values.median()), rel=1e-5)
    assert metrics["nearest_train_ratio"] == pytest.approx(1)
    assert metrics["nearest_train"] == pytest.approx(NearestTrain(held).held_distance)
    assert metrics["precision_359"] > 0.5
    assert metrics["recall_359"] > 0.5


def test_the_ratio_is_of_median_distances_found_by_brute_force(digits: Dataset, evaluator: Evaluator) -> None:
    def median(images: Tensor) -> float:
        distances = (images.clamp(-1, 1)[:, None] - digits.train_images[:][None]).flatten(2).norm(dim=2)
        return float(distances.min(1).values.median())

    images = drawn(digits, 0.4)
    metrics = score(evaluator, images, final=True)
    assert metrics["nearest_train"] == pytest.approx(median(images), rel=1e-5)
    assert metrics["nearest_train_ratio"] == pytest.approx(median(images) / median(digits.held_images[:]), rel=1e-5)
    assert metrics["nearest_train_ratio"] > 1.2


def test_kid_and_precision_see_no_more_samples_than_the_reference_may_have(
    digits: Dataset, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = drawn(digits, 0.2)
    whole = score(evaluator, images, final=True)
    monkeypatch.setattr("trainer.evaluation.sample_metrics.MANIFOLD", 250)
    capped = score(evaluator, images, final=True, batch=77)
    first = evaluator.extractor(images[:250])
    reference = evaluator.references.features
    assert capped["kid_600"] == pytest.approx(kid(first, reference), rel=1e-4)
    assert (capped["precision_600"], capped["recall_600"]) == pytest.approx(precision_recall(first, reference))
    assert capped["fid_600"] == pytest.approx(whole["fid_600"])


def test_lanes_are_scored_together_as_they_are_alone_and_one_that_diverged_spares_the_others(
    digits: Dataset, evaluator: Evaluator
) -> None:
    lanes = torch.stack([drawn(digits, noise, seed=seed) for seed, noise in enumerate((0.1, 0.2, 0.4))])
    lanes[1, 150, 0, 3, 3] = math.nan
    tally = evaluator.tally(3, final=True)
    for part in lanes.split(100, dim=1):
        tally.add(part)
    first, second, third = tally.metrics()
    assert all(math.isnan(value) for value in second.values())
    assert first == pytest.approx(score(evaluator, lanes[0], final=True), rel=1e-4)
    assert third == pytest.approx(score(evaluator, lanes[2], final=True), rel=1e-4)


def test_nearness_is_to_what_was_trained_on_and_fid_to_the_whole_split(
    digits: Dataset, evaluator: Evaluator, extractor_cache: Path
) -> None:
    few = Evaluator(EvalRecipe(samples=600), load(DataRecipe(limit=20)), extractor_cache, CPU)
    images = drawn(digits, 0.0)
    limited, whole = score(few, images, final=True), score(evaluator, images, final=True)
    assert limited["fid_600"] == whole["fid_600"]
    assert limited["nearest_train"] > 1
    assert whole["nearest_train"] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_models_metrics_are_nan_and_nothing_is_raised(
    digits: Dataset, evaluator: Evaluator, value: float
) -> None:
    images = drawn(digits, 0.1)
    images[150, 0, 3, 3] = value
    metrics = score(evaluator, images, final=True)
    assert metrics.keys() == score(evaluator, drawn(digits, 0.1), final=True).keys()
    assert all(math.isnan(score) for score in metrics.values())


def test_a_metric_is_not_given_for_another_count_than_its_name_says(digits: Dataset, evaluator: Evaluator) -> None:
    with pytest.raises(ValueError, match="fid_600 needs 600 samples, not 500"):
        score(evaluator, drawn(digits, 0.1, count=500))


def test_the_reference_is_computed_once_and_kept_in_the_cache_by_its_hashes(
    digits: Dataset, evaluator: Evaluator, extractor_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(evaluator, drawn(digits, 0.1))
    (file,) = extractor_cache.glob("reference-*.safetensors")
    assert file.name.startswith(f"reference-v{VERSION}-{digits.reference_hash[:16]}")
    assert evaluator.extractor_sha256[:16] in file.name
    again = Evaluator(EvalRecipe(samples=600), digits, extractor_cache, CPU)
    monkeypatch.setattr("trainer.evaluation.references._of_images", None)
    assert score(again, drawn(digits, 0.1)) == expected


def test_fewer_samples_than_features_are_warned_of(
    digits: Dataset, extractor_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trainer.evaluation.evaluator"):
        assert Evaluator(EvalRecipe(samples=64), digits, extractor_cache, CPU).extractor_name == "domain"
    assert "raise eval.samples above 64" in caplog.text


def test_latents_are_scored_without_rounding_or_clipping(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    x = random.randn(60, 4, 8, 8).astype(np.float32) * 3
    np.savez(tmp_path / "latents.npz", x=x, y=np.arange(60) % 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.evaluation.domain_extractor.STEPS", (20, 20))
        data = load(DataRecipe(name="npz", path=str(tmp_path / "latents.npz")))
        evaluator = Evaluator(EvalRecipe(samples=48), data, tmp_path, CPU)
        copies = score(evaluator, data.reference_images[:], final=True)
    assert copies["fid_48"] == pytest.approx(0, abs=1e-6)
    assert copies["nearest_train"] == 0
    assert float(data.reference_images[:].max()) > 1.5
