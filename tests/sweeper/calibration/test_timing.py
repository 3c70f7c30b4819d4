"""`plan` answers soon whatever the model, and its "at most" holds what a run takes beside training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from sweeper.calibration.calibrate import Cost, calibrate, slower_arms
from sweeper.calibration.timing import timed
from sweeper.commands.plan import BESIDE, START_UP_S, at_most, describe, forecast
from sweeper.study import Study
from tests.sweeper.guide.study_records import make_study
from trainer.data.dataset import load
from trainer.training.batches import TrainingSplit
from trainer.training.lane_search import lane_cost


def small(**model: object) -> Study:
    return make_study(
        recipe={"model": model, "eval": {"samples": 200, "nfe": 4}, "train": {"steps": 20, "warmup": 2}},
        space={"block": [0], "lambda": [0.1]},
    )


def test_a_model_too_large_for_the_limit_is_extrapolated_from_pieces_of_it_and_said_to_be() -> None:
    begun = time.monotonic()
    large = calibrate(small(width=384, depth=200, heads=6), limit_s=0.0)
    assert time.monotonic() - begun < 20
    assert large.extrapolated
    assert large.per_step > 20 * calibrate(small(width=384, depth=1, heads=6), limit_s=0.0).per_step


def test_a_small_model_is_timed_itself() -> None:
    made = forecast(small(preset="compact"))
    assert not made.extrapolated
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
    ]
    planned = make_study(recipe=small().recipe.model_dump(), space={"block": [0], "lambda": [0.1]}, controls=arms)
    found = slower_arms(planned, Cost(1e-4, 1.0, 1))
    assert found["repa"] == found["short"] > 1
    assert found.keys() == {"repa", "short", "two"}
    assert set(slower_arms(planned, Cost(1.0, 1.0, 1, extrapolated=True)).values()) == {2.0}
