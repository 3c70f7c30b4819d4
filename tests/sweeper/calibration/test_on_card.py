"""A study's cost on cards that are not here: arithmetic, without the data where the study describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweeper.calibration.cards import CARDS, UTILISATION, machine
from sweeper.calibration.on_card import cost_on
from sweeper.errors import DataError, StudyError
from sweeper.planning.size import size
from sweeper.study import Study
from sweeper.study.yaml_files import read_study
from tests.places import STUDIES
from tests.sweeper.guide.study_records import make_study

ONE, EIGHT = machine("1xH100"), machine("8xH100")
DATA = {"name": "npz", "path": "nowhere.npz", "shape": [1000, 4, 32, 32], "classes": 10}


def latents(**changes: object) -> Study:
    recipe = {
        "data": DATA,
        "model": {"preset": "S"},
        "train": {"steps": 1000, "batch": 64, "precision": "bf16"},
        "eval": {"samples": 1000, "nfe": 10, "full_samples": "none"},
    }
    return make_study(**{"recipe": recipe, "screen": {"seeds": 2, "rungs": [1]}, **changes})


def test_a_study_that_describes_its_data_is_estimated_without_them() -> None:
    study = latents()
    cost, planned, card = cost_on(study, ONE), size(study), CARDS["h100"]
    assert (cost.screen.trials, cost.confirm.trials) == (planned.trials, planned.confirm_trials)
    training = planned.trials * 1000 * cost.step_flops / (UTILISATION["bf16"] * card.bf16)
    assert cost.screen.training == pytest.approx(training)
    assert cost.screen.sampling == pytest.approx(
        planned.trials * 1000 * cost.sample_flops / (UTILISATION["fp32"] * card.fp32)
    )
    assert cost.screen.wall == pytest.approx(cost.screen.seconds)


def test_eight_cards_take_as_long_as_the_rounds_of_trials_they_make() -> None:
    one, eight = cost_on(latents(), ONE).screen, cost_on(latents(), EIGHT).screen
    assert eight.seconds == pytest.approx(one.seconds)
    rounds = -(-one.trials // 8)
    assert eight.wall == pytest.approx(rounds * one.seconds / one.trials)


def test_finalists_are_charged_for_the_full_metric_and_the_guidance_curve() -> None:
    study = latents()
    plain = cost_on(study, ONE).confirm
    full = study.recipe.override({"eval.full_samples": 3000})
    assert cost_on(study.model_copy(update={"recipe": full}), ONE).confirm.sampling == pytest.approx(3 * plain.sampling)
    evaluation = study.recipe.eval.model_copy(update={"cfg_curve": (1.0, 2.0), "cfg_samples": 1000})
    curve = study.recipe.model_copy(update={"eval": evaluation})
    # One scale without guidance, one with, which evaluates the network twice.
    assert cost_on(study.model_copy(update={"recipe": curve}), ONE).confirm.sampling == pytest.approx(
        4 * plain.sampling
    )


def test_every_trial_is_charged_for_the_passes_of_its_linear_probe() -> None:
    def sampling(**evaluation: object) -> float:
        recipe = latents().recipe.override({f"eval.{name}": value for name, value in evaluation.items()})
        return cost_on(latents().model_copy(update={"recipe": recipe}), ONE).screen.sampling

    # 1,000 samples of ten evaluations a trial; up to 4,048 images at three noise levels, one pass each.
    added = sampling(linear_probe="last rung") / sampling() - 1
    assert added == pytest.approx(3 * 4048 / (1000 * 10))


def test_an_arm_with_another_recipe_is_charged_for_its_own() -> None:
    def screen(steps: int) -> float:
        arm = {"name": "short", "set": {"train.steps": steps}}
        return cost_on(latents(controls=[arm]), ONE).screen.training

    without = cost_on(latents(), ONE).screen.training
    assert screen(2000) - screen(500) == pytest.approx(3 * (screen(500) - without))


def test_an_arm_with_a_setting_of_the_loss_is_charged_for_it() -> None:
    def screen(**setting: object) -> float:
        arm = {"name": "clipped", "set": {"train.clip": 1.0}, **setting}
        return cost_on(latents(controls=[arm]), ONE).screen.training

    one, three = (screen(block=block, **{"lambda": 0.1}) - screen() for block in (0, [0, 1, 2]))
    assert one > 0
    assert three == pytest.approx(3 * one)


def test_a_memory_bank_is_part_of_a_lane() -> None:
    space = {"block": [0], "lambda": [0.1], "negatives": [4096]}
    without, banked = (cost_on(latents(space=one), ONE) for one in ({**space, "negatives": ["batch"]}, space))
    assert banked.lane_bytes - without.lane_bytes == 2 * 4 * 4096 * 256 * 384
    assert banked.lanes < without.lanes
    with pytest.raises(StudyError, match=r"out of scope: .* of activations, 51\.5 of memory bank\)") as caught:
        cost_on(latents(space={**space, "negatives": [65536]}, resources={"gpus": 0.5}), ONE)
    assert "a smaller model, bank or batch" in caught.value.remedy


def test_a_lane_that_no_card_holds_is_refused_with_the_size_at_which_that_begins() -> None:
    study = read_study(STUDIES / "imagenet256_sit_b2.yaml", ["recipe.model.preset=XL"])
    with pytest.raises(StudyError, match=r"out of scope: one lane takes about .* begins at depth \d+ of width 1152"):
        cost_on(study, EIGHT)
    with pytest.raises(StudyError, match="out of scope"):
        cost_on(latents(resources={"gpus": 0.01}), EIGHT)
    assert cost_on(study.model_copy(update={"recipe": study.recipe.override({"train.batch": 64})}), EIGHT).lanes == 1


def test_a_study_of_several_gpus_a_cohort_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="a cohort trains on one GPU or a part of it"):
        latents(resources={"gpus": 2})


def test_data_that_are_neither_here_nor_described_are_asked_for() -> None:
    recipe = latents().recipe.override({"data.shape": None})
    with pytest.raises(DataError, match=r"nowhere\.npz: no such file") as caught:
        cost_on(latents().model_copy(update={"recipe": recipe}), ONE)
    assert "data.shape" in caught.value.remedy


def test_data_that_are_here_need_no_description(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 100)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(1000, 4, 32, 32)).astype("f4"), y=labels)
    found = {"data.shape": None, "data.classes": None, "data.path": str(tmp_path / "x.npz")}
    study = latents()
    here = study.model_copy(update={"recipe": study.recipe.override(found)})
    assert cost_on(here, ONE).step_flops == cost_on(study, ONE).step_flops
    assert cost_on(here, ONE).parameters == cost_on(study, ONE).parameters


def test_a_model_that_no_formula_counts_is_said_to_need_the_machine() -> None:
    recipe = {**latents().recipe.model_dump(), "model": {"kind": "unet"}}
    with pytest.raises(StudyError, match="counts the operations of a SiT, and recipe"):
        cost_on(latents(recipe=recipe, space={"block": ["mid"], "lambda": [0.1]}), ONE)


@pytest.mark.parametrize("written", ["H100", "0xH100", "8xB52", "8 x H100", "8xH100x", ""])
def test_a_machine_that_is_none_is_refused_with_the_cards_that_are_known(written: str) -> None:
    with pytest.raises(StudyError, match="not a number and a kind of card") as caught:
        machine(written)
    assert "A100, A100-40GB, H100" in caught.value.remedy


@pytest.mark.parametrize(("written", "cards", "name"), [("4xh200", 4, "H200"), ("1xA100-40GB", 1, "A100-40GB")])
def test_a_machine_is_a_number_and_a_kind_of_card(written: str, cards: int, name: str) -> None:
    assert (machine(written).cards, machine(written).card.name) == (cards, name)
