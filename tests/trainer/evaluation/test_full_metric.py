"""The full metric, against the samples drawn again and scored by numpy and scipy."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from trainer.data.dataset import load
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.full_metric import FullTally
from trainer.recipe import DataRecipe, Dispersion, EvalRecipe, Lane, Recipe, SiTRecipe, TrainRecipe
from trainer.sampling.samples import samples
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
RECIPE = Recipe(
    model=SiTRecipe(width=16, depth=2, heads=2),
    train=TrainRecipe(steps=6, batch=8, warmup=2),
    eval=EvalRecipe(samples=100, batch=50, nfe=1, probe=16, full_samples=230),
)
LANES = (Lane(Dispersion(), 0), Lane(Dispersion(blocks=(1,), lam=0.25, tau=0.5), 1))
WILD = Lane(Dispersion(blocks=(0,), variant="covariance").model_copy(update={"lam": 1e38}), 0)


@pytest.fixture(scope="module")
def data():
    return load(DataRecipe())


@pytest.fixture(scope="module")
def build(data, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def trained(lanes=LANES, **changes):
        recipe = RECIPE.override({f"eval.{name}": value for name, value in changes.items()})
        cohort = Cohort(recipe, lanes, data, CPU, Evaluator(recipe.eval, data, cache, CPU))
        cohort.advance(recipe.train.steps)
        return cohort

    return trained


def features(cohort: Cohort, count: int) -> list[np.ndarray]:
    """The features of each lane's first samples, drawn in one go by a recipe of that many."""
    recipe = cohort.recipe.eval.model_copy(update={"samples": count})
    seeds = [seed for _, seed in cohort.lanes]
    with torch.no_grad():
        parts = [images for _, images in samples(cohort._network(), cohort._objective, recipe, seeds)]
    return [cohort._evaluator.extractor(images).double().numpy() for images in torch.cat(parts, dim=1)]


def frechet(one: np.ndarray, evaluator: Evaluator) -> float:
    other = evaluator.extractor(evaluator.data.reference_images[:]).double().numpy()
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b).real
    return float(np.square(one.mean(0) - other.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root))


@pytest.mark.parametrize("batch", [50, 33, 70, 250])
def test_the_full_fid_is_of_all_samples_and_the_second_of_those_after_the_proxys(build, batch):
    cohort = build(batch=batch)
    for one, drawn in zip(cohort.measure(full=True), features(cohort, 230), strict=True):
        expected = {"fid_100": drawn[:100], "fid_230": drawn, "fid_100_second": drawn[100:200]}
        for name, part in expected.items():
            assert one.metrics[name] == pytest.approx(frechet(part, cohort._evaluator), rel=1e-3), name


@pytest.mark.parametrize("batch", [50, 33, 250])
def test_every_other_metric_is_the_same_bit_for_bit(build, batch):
    cohort = build(batch=batch)
    proxies, fulls = cohort.measure(), cohort.measure(full=True)
    for proxy, full in zip(proxies, fulls, strict=True):
        assert full.metrics.keys() - proxy.metrics.keys() == {"fid_230", "fid_100_second"}
        assert {name: full.metrics[name] for name in proxy.metrics} == proxy.metrics
        assert torch.equal(full.grid, proxy.grid)
        assert not full.diverged
    assert [one.metrics for one in cohort.measure()] == [one.metrics for one in proxies]


@pytest.mark.parametrize(("full", "second"), [(101, False), (199, False), (200, True), (201, True)])
def test_a_second_sampling_is_scored_only_where_it_is_complete(build, full, second):
    (one,) = build(LANES[:1], full_samples=full).measure(full=True)
    assert f"fid_{full}" in one.metrics
    assert ("fid_100_second" in one.metrics) == second


def test_the_full_metric_is_of_the_last_step_and_of_recipes_that_have_one(build):
    cohort = build(LANES[:1], full_samples="auto")
    assert [one.metrics for one in cohort.measure(full=True)] == [one.metrics for one in cohort.measure()]
    early = Cohort(RECIPE, LANES, cohort._data, CPU, cohort._evaluator)
    early.advance(5)
    assert "fid_230" not in early.measure(full=True)[0].metrics


def test_a_diverged_lane_has_no_full_metric_and_spares_the_others(build):
    burnt, calm = build((WILD, LANES[1])).measure(full=True)
    assert burnt.diverged
    assert not {"fid_100", "fid_230", "fid_100_second"} & burnt.metrics.keys()
    (alone,) = build(LANES[1:]).measure(full=True)
    assert calm.metrics["fid_230"] == pytest.approx(alone.metrics["fid_230"], rel=1e-2)
    (only,) = build((WILD,)).measure(full=True)
    assert only.diverged


def test_survivors_get_their_own_full_metric(build):
    whole, kept = build(), build()
    kept.keep([1])
    (one,) = kept.measure(full=True)
    assert one.metrics["fid_230"] == pytest.approx(whole.measure(full=True)[1].metrics["fid_230"], rel=1e-3)


@pytest.fixture
def evaluator(build):
    return build()._evaluator


def proxy(evaluator: Evaluator, count: int = 100):
    tally = evaluator.tally(1, final=False)
    tally.add(evaluator.data.held_images[:count][None])
    return tally


def test_the_proxys_score_is_left_alone(evaluator):
    first = proxy(evaluator)
    before = first.metrics()
    FullTally(evaluator, first.moments, 230).add(evaluator.data.held_images[100:230][None])
    assert first.metrics() == before


@pytest.mark.parametrize("start", [0, 60, 100])
def test_full_metrics_do_not_depend_on_how_samples_were_batched(evaluator, start):
    images, scores = evaluator.data.held_images[:230], []
    for batch in (7, 150, 230):
        tally = FullTally(evaluator, proxy(evaluator, start).moments, 230)
        for part in images[start:].split(batch):
            tally.add(part[None])
        scores += tally.metrics()
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)
    assert scores[0] == pytest.approx(scores[2], rel=1e-4)
    second = proxy(evaluator, 0)
    second.add(images[None, 100:200])
    assert scores[0]["fid_100_second"] == pytest.approx(second.metrics()[0]["fid_100"], rel=1e-4)


@pytest.mark.parametrize("count", [199, 229, 231])
def test_a_full_metric_is_not_given_for_another_count_than_its_name_says(evaluator, count):
    tally = FullTally(evaluator, proxy(evaluator).moments, 230)
    tally.add(evaluator.data.held_images[100:count][None])
    with pytest.raises(ValueError, match=f"fid_230 needs 230 samples, not {count}"):
        tally.metrics()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sample_past_the_proxys_that_is_not_finite_costs_the_full_metrics_alone(evaluator, value):
    first = proxy(evaluator)
    tally, images = FullTally(evaluator, first.moments, 230), evaluator.data.held_images[100:230].clone()
    images[120, 0, 3, 3] = value
    for part in images.split(50):
        tally.add(part[None])
    (metrics,) = tally.metrics()
    assert list(metrics) == ["fid_230", "fid_100_second"]
    assert all(math.isnan(score) for score in metrics.values())
    assert math.isfinite(first.metrics()[0]["fid_100"])


def test_what_is_kept_does_not_grow_with_the_samples(evaluator):
    tally = FullTally(evaluator, proxy(evaluator).moments, 100_000)

    def held() -> int:
        parts = [*vars(tally._all).values(), *vars(tally._second).values()]
        return sum(part.numel() for part in parts if isinstance(part, torch.Tensor))

    before = held()
    for _ in range(5):
        tally.add(evaluator.data.held_images[:][None])
    assert held() == before
    assert set(vars(tally)) == {"_evaluator", "_count", "_all", "_second", "_finite_K"}
