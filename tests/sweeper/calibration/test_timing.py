"""`plan` answers soon whatever the model, and its "at most" holds what a run takes beside training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sweeper.calibration.calibrate import Cost, _on_device, calibrate, slower_arms
from sweeper.calibration.timing import NFE, Timed, extrapolated, probe_seconds, timed
from sweeper.commands.plan import BESIDE, START_UP_S, at_most, describe, forecast
from sweeper.planning.size import estimate
from sweeper.study import Study
from tests.sweeper.guide.study_records import make_study
from trainer.data.dataset import Dataset, load
from trainer.recipe import Dispersion, Recipe
from trainer.training.batches import TrainingSplit
from trainer.training.lane_search import LaneCost, lane_cost


def small(**model: object) -> Study:
    return make_study(
        recipe={"model": model, "eval": {"samples": 200, "nfe": 4}, "train": {"steps": 20, "warmup": 2}},
        space={"block": [0], "lambda": [0.1]},
    )


def test_a_model_too_large_for_the_limit_is_extrapolated_from_pieces_of_it_and_said_to_be() -> None:
    large = calibrate(small(width=384, depth=200, heads=6), limit_s=0.0)
    assert large.extrapolated
    assert large.per_step > 0


def test_pieces_are_extrapolated_along_the_blocks_and_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def took(recipe: Recipe, *_: object, **__: object) -> Timed:
        depth, batch = recipe.model.depth, recipe.train.batch
        return Timed(step_s=1.0 + 0.1 * depth + 0.01 * batch * depth, sample_s=0.5 + 0.25 * depth)

    monkeypatch.setattr("sweeper.calibration.timing.timed", took)
    recipe = small(width=384, depth=200, heads=6).recipe
    found = extrapolated(recipe)
    assert found.step_s == pytest.approx(1.0 + 0.1 * 200 + 0.01 * recipe.train.batch * 200)
    assert found.sample_s == pytest.approx((0.5 + 0.25 * 200) * recipe.eval.nfe / NFE)


def test_a_solver_whose_last_evaluation_stands_alone_is_timed_by_its_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"objective": {"kind": "edm"}, "eval": {"samples": 200, "solver": "heun", "nfe": 35}}
    study, seen = make_study(recipe=given, space={"block": [0], "lambda": [0.1]}), []

    def took(recipe: Recipe, *_: object, **__: object) -> Timed:
        seen.append(recipe.eval.nfe)
        return Timed(step_s=1.0, sample_s=float(recipe.eval.nfe))

    monkeypatch.setattr("sweeper.calibration.timing.timed", took)
    assert extrapolated(study.recipe).sample_s == pytest.approx(35)
    assert {*seen} == {3}


def test_a_small_model_is_timed_itself() -> None:
    assert not calibrate(small(preset="compact"), limit_s=600.0).extrapolated  # however busy the machine is
    made = forecast(small(preset="compact"))._replace(extrapolated=False)
    assert "extrapolated" not in describe(small(), made)
    assert "extrapolated from one and two blocks" in describe(small(), made._replace(extrapolated=True))


def test_at_most_holds_start_up_and_what_is_done_beside_training() -> None:
    study = small()
    assert at_most(study, 1000.0, slots=2) > START_UP_S + BESIDE * 1000
    assert at_most(study, 1000.0, slots=1) > at_most(study, 1000.0, slots=2)


def test_a_recipe_with_repa_is_timed_by_an_encoder_that_nobody_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = small(preset="compact").recipe.override({"train.repa.lambda": 0.5, "train.contrastive.lambda": 0.1})
    found = timed(recipe, load(recipe.data), warm_up=1, steps=2, samples=4)
    assert found.step_s > 0
    assert lane_cost(recipe, load(recipe.data), TrainingSplit.of(load(recipe.data), torch.device("cpu")), 2).lanes == 2
    assert not list(tmp_path.iterdir())


def test_arms_that_add_a_loss_are_timed_once_for_each_loss_and_plain_ones_not_at_all() -> None:
    arms = [
        {"name": "decay", "set": {"train.weight_decay": 0.5}},
        {"name": "repa", "set": {"train.repa.block": 1}},
        {"name": "short", "set": {"train.repa.block": 1, "train.steps": 10}},
        {"name": "two", "set": {"train.contrastive.block": 1}},
        {"name": "size", "set": {"train.activation_norm.block": 1}},
    ]
    planned = make_study(recipe=small().recipe.model_dump(), space={"block": [0], "lambda": [0.1]}, controls=arms)
    found = slower_arms(planned, Cost(1e-4, 1.0, 1))
    assert found["repa"] == found["short"] > 1
    assert found.keys() == {"repa", "short", "two", "size"}
    assert set(slower_arms(planned, Cost(1.0, 1.0, 1, extrapolated=True)).values()) == {2.0}


def test_every_trial_is_timed_with_the_setting_of_the_loss_that_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [
        {"name": "repa", "set": {"train.repa.block": 1}},
        {"name": "both", "set": {"train.repa.block": 1}, "block": [0, 1], "lambda": 0.3},
    ]
    arms.append({"name": "decay", "set": {"train.weight_decay": 0.5}, "block": 0, "lambda": 0.1})
    arms.append({"name": "bank", "set": {"train.lr": 1e-3}, "block": 0, "lambda": 0.2, "negatives": 128})
    space = {"block": [0, "all"], "lambda": [0.1], "negatives": ["batch", 64]}
    planned = make_study(recipe=small().recipe.model_dump(), space=space, controls=arms)
    seen: list[Dispersion] = []

    def timed_as(*given: object) -> Timed:
        seen.append(next((part for part in given if isinstance(part, Dispersion)), Dispersion()))
        return Timed(1.0, 1.0)

    monkeypatch.setattr("sweeper.calibration.calibrate.timed", timed_as)
    cost = calibrate(planned, limit_s=1e6)
    assert slower_arms(planned, cost).keys() == {"repa", "both", "bank"}
    assert [one.lam for one in seen] == [0.1, 0, 0.3, 0.2]
    assert (seen[0].blocks, seen[0].negatives, seen[2].blocks) == ((0, 1, 2, 3), 64, (0, 1))


@pytest.mark.parametrize("cohort", ["auto", 2])
def test_a_device_is_timed_with_the_flips_that_its_trials_train_with(
    monkeypatch: pytest.MonkeyPatch, cohort: object
) -> None:
    flips: list[bool] = []

    def cost_of(_recipe: Recipe, _data: Dataset, split: TrainingSplit, lanes: int, _bank: object = None) -> LaneCost:
        flips.append(split.flips)
        return LaneCost(lanes, 1.0, 1.0, 0)

    for place in ("sweeper.calibration.calibrate", "trainer.training.lane_search"):
        monkeypatch.setattr(f"{place}.lane_cost", cost_of)
    planned = make_study(recipe={"data": {"flip": True}}, resources={"cohort": cohort})
    _on_device(planned, load(planned.recipe.data), torch.device("cpu"))
    assert flips
    assert all(flips)


def probing(when: str, **parts: object) -> Study:
    recipe = {"eval": {"samples": 200, "nfe": 4, "linear_probe": when}, "train": {"steps": 20, "warmup": 2}}
    return make_study(recipe=recipe, space={"block": [0], "lambda": [0.1]}, **parts)


def test_a_plan_counts_the_probes_of_every_rung_that_has_one() -> None:
    screen = {"seeds": 2, "rungs": [0.25, 0.5, 1]}

    def seconds(when: str) -> float:
        return estimate(probing(when, screen=screen, confirm=None), 0, 0, slots=1, seconds_per_probe=7.0)

    assert (seconds("none"), seconds("last rung"), seconds("every rung")) == (0, 4 * 7, 3 * 4 * 7)
    at_end = probing("every rung", screen=screen, confirm={"top": 1, "seeds": 5})
    assert estimate(at_end, 0, 0, slots=1, seconds_per_probe=7.0) == 3 * 4 * 7 + 10 * 7


def test_a_probe_is_timed_or_where_that_would_take_too_long_reckoned_from_a_samples_passes() -> None:
    assert calibrate(probing("none")).per_probe == 0
    assert calibrate(probing("last rung")).per_probe > 0
    made = forecast(probing("last rung"))
    assert f"a linear probe {made.seconds_per_probe:.3g} s" in describe(probing("last rung"), made)
    recipe, data = probing("last rung").recipe, load(probing("last rung").recipe.data)
    images = len(data.reference_labels) + len(data.held_labels)
    # Four evaluations a sample of four seconds: a second a pass, three noise levels.
    assert probe_seconds(recipe, data, sample_s=4.0) == pytest.approx(3 * images)


def test_a_plan_counts_the_scales_of_the_guidance_curve_of_each_finalist() -> None:
    evaluation = {"samples": 1000, "rung_samples": 500, "cfg_curve": [1, 2]}
    planned = make_study(recipe={"eval": evaluation}, space={"block": [0], "lambda": [0.1]}, confirm={"seeds": 5})
    plain = planned.recipe.model_copy(update={"eval": planned.recipe.eval.model_copy(update={"cfg_curve": ()})})
    without = estimate(planned.model_copy(update={"recipe": plain}), 0, 1, slots=1)
    # Half as many samples at either scale; the guided one evaluates the network twice.
    assert estimate(planned, 0, 1, slots=1) - without == pytest.approx(10 * (0.5 + 2 * 0.5))
