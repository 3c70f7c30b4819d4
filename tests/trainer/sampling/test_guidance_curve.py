"""Guidance at several scales, against what the same weights are scored by with that scale as their own."""

import math

import pytest
import torch

from trainer.evaluation.evaluator import Evaluator
from trainer.recipe import Dispersion, Lane, Recipe
from trainer.training.cohort import Cohort

CPU = torch.device("cpu")
LANES = (Lane(Dispersion(), 0), Lane(Dispersion(blocks=(1,), lam=0.2), 0), Lane(Dispersion(), 1))


def recipe_of(**evaluation: object) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"width": 16, "depth": 2, "heads": 2},
            "train": {"steps": 20, "batch": 8, "warmup": 5},
            "eval": {"samples": 60, "batch": 30, "nfe": 2, "probe": 16, "full_samples": "none", **evaluation},
        }
    )


@pytest.fixture
def measured(digits, extractor_cache):
    def made(recipe: Recipe, full: bool = True, step: int = 20) -> list[dict[str, float]]:
        cohort = Cohort(recipe, LANES, digits, CPU, Evaluator(recipe.eval, digits, extractor_cache, CPU))
        cohort.advance(step)
        return [one.metrics for one in cohort.measure(full=full)]

    return made


def test_each_scale_is_what_a_study_of_that_scale_measures(measured):
    curved = measured(recipe_of(cfg_curve=[1, 2.5]))
    for scale in (1, 2.5):
        own = measured(recipe_of(cfg=scale))
        for one, other in zip(curved, own, strict=True):
            for metric in ("fid_60", "precision_60", "recall_60"):
                assert one[f"{metric}.cfg_{scale:g}"] == pytest.approx(other[metric], rel=1e-6)


def test_before_the_end_each_scale_is_what_a_rung_of_a_study_of_that_scale_measures(measured):
    curved = measured(recipe_of(cfg_curve=[1, 2.5], cfg_rungs=[0.5, 1], full_samples=120), step=10)
    for scale in (1, 2.5):
        own = measured(recipe_of(cfg=scale), full=False, step=10)
        for one, other in zip(curved, own, strict=True):
            assert one[f"fid_60.cfg_{scale:g}"] == pytest.approx(other["fid_60"], rel=1e-6)
    # The full metric is of the end alone.
    assert not any("fid_120" in one for one in curved)


def test_it_changes_no_other_figure_and_is_measured_of_finalists_alone(measured):
    plain, curved = measured(recipe_of()), measured(recipe_of(cfg_curve=[0.5, 3], cfg_samples=30))
    for one, other in zip(plain, curved, strict=True):
        added = {name for name in other if ".cfg_" in name}
        assert {name: value for name, value in other.items() if name not in added} == one
        assert added == {f"{name}_30.cfg_{scale}" for name in ("fid", "precision", "recall") for scale in ("0.5", "3")}
        assert all(math.isfinite(other[name]) for name in added)
    assert not any(".cfg_" in name for one in measured(recipe_of(cfg_curve=[2]), full=False) for name in one)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"eval": {"cfg_curve": [2, 1]}}, r"cfg_curve must rise, not \[2.0, 1.0\]"),
        ({"eval": {"cfg_curve": [1, 2]}, "train": {"label_drop": 0}}, "must be above 0 beside eval.cfg_curve"),
        ({"eval": {"cfg_curve": [1], "cfg_rungs": [0.5]}}, r"cfg_rungs must rise and end at 1, not \[0.5\]"),
        ({"eval": {"cfg_curve": [1], "cfg_rungs": [1, 0.5, 1]}}, "cfg_rungs must rise"),
        ({"eval": {"cfg_samples": 100}}, "must stand beside eval.cfg_curve"),
    ],
)
def test_a_curve_that_cannot_be_measured_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Recipe.model_validate(given)
