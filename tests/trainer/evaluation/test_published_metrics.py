"""Inception score, sFID, CMMD and Vendi score, against torch-fidelity and against their formulas written out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainer.data.dataset import Dataset
from trainer.evaluation.class_score import ClassTotals
from trainer.evaluation.cmmd import cmmd, mean_kernel
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.extractors import Extractor, Seen, load_extractor, places_in_order
from trainer.evaluation.sample_metrics import KeptSamples
from trainer.evaluation.torch_fidelity import Inception, frechet_distance, torch_fidelity
from trainer.evaluation.vendi_score import vendi_score
from trainer.recipe import METRICS, EvalRecipe
from trainer.recipe.metrics import OptionalMetric

CPU = torch.device("cpu")


def cloud(count: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [7, 103, 250])
@pytest.mark.parametrize("batch", [1, 60, 1000])
def test_the_class_score_is_torch_fidelitys_inception_score_unshuffled_however_samples_were_batched(
    count: int, batch: int
) -> None:
    torch_fidelity()
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = torch.stack([3 * cloud(count, 12, seed) for seed in (0, 1)])
    totals = ClassTotals(count, 10)
    for first in range(0, count, batch):
        totals.observe(first, logits[:, first : first + batch])
    expected = [isc_features_to_metric(lane, min(10, count), shuffle=False)["inception_score_mean"] for lane in logits]
    assert totals.scores() == pytest.approx(expected, rel=1e-12)


def test_the_class_score_counts_classes_that_are_sure_and_is_one_where_nothing_is_told_apart() -> None:
    sure = 60 * torch.eye(5).repeat(20, 1)
    totals = ClassTotals(100, 10)
    totals.observe(0, torch.stack([sure, sure * 0, sure[:1].expand(100, 5)]))
    assert totals.scores() == pytest.approx([5, 1, 1])


def test_the_vendi_score_is_the_entropy_of_the_kernel_matrix_whichever_product_is_smaller() -> None:
    for count, dim in ((40, 7), (7, 40)):
        x = cloud(count, dim).double().numpy() + 0.3
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        kernel = np.array([[float(a @ b) for b in x] for a in x]) / count
        values = [value for value in np.linalg.eigvalsh(kernel) if value > 1e-15]
        expected = math.exp(-sum(value * math.log(value) for value in values))
        assert vendi_score(torch.from_numpy(5 * x)) == pytest.approx(expected, rel=1e-9)


def test_the_vendi_score_rises_with_every_direction_that_samples_take_and_copies_do_not_raise_it() -> None:
    scores = [vendi_score(torch.eye(8)[:kinds].repeat(5, 1)) for kinds in (1, 2, 5, 8)]
    assert scores == pytest.approx([1, 2, 5, 8])


def test_cmmd_is_the_published_kernel_distance_pair_by_pair() -> None:
    x, y = cloud(30, 6).double(), cloud(20, 6, 1).double() + 0.5
    unit = [part / part.norm(dim=1, keepdim=True) for part in (x, y)]

    def mean(a: Tensor, b: Tensor) -> float:
        return float(np.mean([[math.exp(-float((p - q).square().sum()) / (2 * 10**2)) for q in b] for p in a]))

    expected = 1000 * (mean(unit[0], unit[0]) + mean(unit[1], unit[1]) - 2 * mean(unit[0], unit[1]))
    found = cmmd(mean_kernel(x, x), mean_kernel(y, y), mean_kernel(x, y))
    assert found == pytest.approx(expected, abs=1e-9)
    assert found > 0.1
    assert cmmd(mean_kernel(x, x), mean_kernel(x, x), mean_kernel(x, x)) == 0


def test_optional_metrics_are_those_a_recipe_can_ask_for() -> None:
    assert {*get_args(OptionalMetric)} == {name for name, metric in METRICS.items() if metric.optional}


def test_each_extractor_has_the_metrics_that_are_published_with_it() -> None:
    kinds = {
        "domain": EvalRecipe(),
        "inception": EvalRecipe(extractor="inception", weights="w"),
        "clip": EvalRecipe(extractor="clip", weights="w"),
        "dinov2": EvalRecipe(extractor="dinov2", weights="w"),
    }
    own = {"sfid", "inception_score", "cmmd", "spatial_fid", "classifier_score"}
    found = {kind: {name for name in own if recipe.measures(name)} for kind, recipe in kinds.items()}
    assert found == {"domain": set(), "inception": {"sfid", "inception_score"}, "clip": {"cmmd"}, "dinov2": set()}
    assert all(recipe.measures("fid") and recipe.measures("vendi") for recipe in kinds.values())
    assert EvalRecipe(metrics=("spatial_fid",)).measures("spatial_fid")


def test_a_metric_that_the_extractor_lacks_is_refused_with_the_one_that_has_it() -> None:
    with pytest.raises(ValidationError, match="spatial_fid, which needs extractor domain, not 'inception'"):
        EvalRecipe(extractor="inception", weights="w", metrics=("spatial_fid",))


def test_what_a_recipe_asks_for_is_measured_at_the_last_rung_and_changes_no_other_figure(
    digits: Dataset, evaluator: Evaluator, extractor_cache: Path
) -> None:
    asked = EvalRecipe(samples=600, metrics=("spatial_fid", "classifier_score"))
    more = Evaluator(asked, digits, extractor_cache, CPU)
    images = digits.reference_images[:600] + 0.3 * cloud(600, 64).view(600, 1, 8, 8)
    scores = []
    for one in (evaluator, more):
        tally = one.tally(1, final=True)
        for part in images.split(77):
            tally.add(part[None])
        scores += tally.metrics()
    added = scores[1].keys() - scores[0].keys()
    assert added == {"spatial_fid_600", "classifier_score_600"}
    assert {name: scores[1][name] for name in scores[0]} == pytest.approx(scores[0], rel=1e-6)
    seen, real = more.extractor.look(images), more.extractor.look(digits.reference_images[:])
    x, y = seen.spatial.double(), real.spatial.double()
    assert x.shape == (600, 7 * 4 * 4)
    assert scores[1]["spatial_fid_600"] == pytest.approx(frechet_distance(x, y.mean(0), y.T.cov()), rel=1e-6)
    assert 1 < scores[1]["classifier_score_600"] < 10


def test_kept_are_the_moments_of_all_spatial_features_and_no_class_score_where_there_are_no_classes() -> None:
    kept, spatial = KeptSamples(500), cloud(500, 4)
    for first in (0, 300):
        rows = slice(first, first + 300)
        seen = Seen(cloud(500, 2)[None, rows], spatial[None, rows])
        kept.observe(first, torch.zeros(1, len(spatial[rows]), 1, 1, 1), seen)
    (samples,) = kept.lanes()
    assert samples.spatial is not None
    torch.testing.assert_close(samples.spatial.covariance[0], spatial.double().T.cov())
    assert math.isnan(samples.class_score)


def inception(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    torch_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with monkeypatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        # The constructor insists on loading weights; here it keeps those it was initialised with.
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        state: dict[str, Tensor] = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict()
        return state


def test_inceptions_spatial_features_are_adms_and_its_logits_torch_fidelitys(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Inception(inception(monkeypatch))
    module, seen = net._module, []
    module.Mixed_6d.branch1x1.register_forward_hook(lambda _m, _x, out: seen.append(out))
    images = (255 * torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))).to(torch.uint8)
    features, places, logits = net.look(images)
    assert features.shape == (2, 2048)
    assert places.shape == (2, 192, 17, 17)
    assert places.equal(seen[0])
    assert float(places.min()) == 0  # after its ReLU, as TensorFlow's node of that name
    torch.testing.assert_close(logits, features @ module.fc.weight.T)
    assert net(images).equal(features)


def test_sfid_takes_seven_channels_place_by_place_as_adms_reference_moments_lie(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(inception(monkeypatch), tmp_path / "weights.pth")
    recipe = EvalRecipe(extractor="inception", weights=str(tmp_path / "weights.pth"))
    extractor: Extractor = load_extractor(recipe, digits, tmp_path, CPU)
    images = digits.held_images[:2]
    seen = extractor.look(images)
    assert seen.spatial is not None
    assert seen.spatial.shape == (2, 17 * 17 * 7)
    assert seen.features.equal(extractor(images))
    places = torch.arange(2 * 192 * 17 * 17).view(2, 192, 17, 17)
    # TensorFlow has channels last, [N, 17, 17, 192], and ADM's evaluator takes [..., :7].
    assert places_in_order(places).equal(places.permute(0, 2, 3, 1)[..., :7].reshape(2, -1))
