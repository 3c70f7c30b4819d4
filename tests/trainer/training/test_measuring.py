"""What a cohort measures: of whom, at which rung, and that measuring leaves no trace."""

import math

import pytest
import torch

from tests.trainer.training.cohorts import BASELINE, CPU, LANES, RECIPE, measured, states_equal
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.held_out import HELD_OUT_METRICS
from trainer.recipe import METRICS, Dispersion, Lane
from trainer.training.cohort import Cohort, Measurement


def test_measuring_changes_nothing(build):
    looked, blind = build(), build()
    for cohort in (looked, blind):
        cohort.advance(20)
    assert measured(looked) == measured(looked)
    looked.advance(30)
    blind.advance(30)
    assert states_equal(looked, blind)


def test_dispersion_metrics_belong_to_lanes_with_lambda(build):
    cohort = build()
    cohort.advance(10)
    baseline, dispersed = cohort.measure()[:2]
    assert not {"dispersive_loss", "floor_distance", "floor_share"} & baseline.metrics.keys()
    assert dispersed.metrics["floor_distance"] >= 0
    assert 0 <= dispersed.metrics["floor_share"] <= 1
    for one in (baseline, dispersed):
        assert one.metrics["effective_rank.block_1"] > 1
        assert one.metrics["feature_norm.block_0"] > 0


def test_strong_dispersion_reaches_the_floor_and_grows_the_norm(build):
    cohort = build([BASELINE, Lane(Dispersion(blocks=(1,), lam=1.0, tau=0.5), 0)])
    cohort.advance(60)
    baseline, dispersed = (one.metrics for one in cohort.measure())
    assert dispersed["floor_share"] > 0.3
    assert dispersed["dispersive_loss"] < -0.85 * math.log(8)
    assert dispersed["feature_norm.block_1"] > 2 * baseline["feature_norm.block_1"]


def test_last_rung_adds_the_slow_metrics_and_a_grid(build):
    cohort = build([BASELINE])
    cohort.advance(59)
    early = cohort.measure()[0]
    cohort.advance(60)
    last: Measurement = cohort.measure()[0]
    measured = [metric for name, metric in METRICS.items() if cohort.recipe.eval.measures(name)]
    slow = {metric.recorded(100) for metric in measured if metric.measured == "last rung"}
    assert {"val_loss", "recall_100", "nearest_train_ratio"} <= slow
    assert slow <= last.metrics.keys()
    assert not slow & early.metrics.keys()
    assert early.grid is None
    assert last.grid is not None
    assert last.grid.shape == (40, 1, 8, 8)


def test_earlier_rungs_may_draw_fewer_samples_and_change_no_other_figure(build, digits, small_evaluator):
    recipe = RECIPE.override({"eval.rung_samples": 60, "train.steps": 8, "train.warmup": 2})
    fewer = Cohort(recipe, LANES[:2], digits, CPU, Evaluator(recipe.eval, digits, small_evaluator.cache, CPU))
    usual = build(LANES[:2], RECIPE.override({"train.steps": 8, "train.warmup": 2}))
    for cohort in (fewer, usual):
        cohort.advance(4)
    early, whole = fewer.measure()[1].metrics, usual.measure()[1].metrics
    assert "fid_100" not in early
    assert early.keys() - {"fid_60"} == whole.keys() - {"fid_100"}
    for cohort in (fewer, usual):
        cohort.advance(8)
    last = fewer.measure()[1].metrics
    assert last.pop("fid_60") > 0
    assert last == usual.measure()[1].metrics


def test_a_held_out_objective_is_measured_at_every_rung_and_draws_no_samples_before_the_last(build):
    cohort = build(LANES[:2], RECIPE.override({"train.steps": 8, "train.warmup": 2}))
    cohort.advance(4)
    early, usual = cohort.measure(objective="val_loss")[1], cohort.measure()[1]
    assert early.metrics.keys() - usual.metrics.keys() == {"val_loss"}
    assert usual.metrics.keys() - early.metrics.keys() == {"fid_100"}
    assert not early.diverged
    cohort.advance(8)
    assert cohort.measure(objective="val_loss")[1].metrics == cohort.measure()[1].metrics


def test_an_objective_of_samples_is_measured_at_earlier_rungs_and_of_as_many_at_the_last(digits, small_evaluator):
    recipe = RECIPE.override({"eval.rung_samples": 60, "train.steps": 8, "train.warmup": 2})
    cohort = Cohort(recipe, LANES[:2], digits, CPU, Evaluator(recipe.eval, digits, small_evaluator.cache, CPU))
    cohort.advance(4)
    early = cohort.measure(objective="coverage")[1].metrics
    assert {"coverage_60", "fid_60"} <= early.keys()
    assert "recall_60" not in early
    cohort.advance(8)
    last, usual = cohort.measure(objective="coverage")[1].metrics, cohort.measure()[1].metrics
    assert last.keys() - usual.keys() == {"coverage_60", "density_60"}
    assert {name: last[name] for name in usual} == usual


def test_what_needs_no_samples_is_what_is_measured_on_held_out_images():
    assert {name for name, metric in METRICS.items() if not metric.sampled} == HELD_OUT_METRICS.keys()


def test_draw_repeats_the_samples_that_were_scored(build):
    cohort = build()
    cohort.advance(60)
    torch.testing.assert_close(cohort.draw(1, 40), cohort.measure()[1].grid, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [7, 33])
def test_grid_and_draw_are_the_samples_that_were_scored_at_any_batch_and_count(build, batch):
    recipe = RECIPE.override({"eval.batch": batch, "train.steps": 6, "train.warmup": 2})
    cohort = build(LANES[:2], recipe)
    cohort.advance(6)
    grid = cohort.measure()[1].grid
    assert grid.shape == (40, 1, 8, 8)
    for count in (1, 5, 39, 40):
        torch.testing.assert_close(cohort.draw(1, count), grid[:count], rtol=1e-4, atol=1e-5)
    assert cohort.draw(0, 1000).shape[0] == 100
