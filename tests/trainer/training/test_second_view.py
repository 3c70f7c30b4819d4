"""Two noised views of a batch, and cohorts that compare them."""

from typing import get_args

import pytest
import torch

from tests.trainer.training.cohorts import BASELINE, CPU, RECIPE, states_equal
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import Contrastive, Recipe
from trainer.recipe.objective import ObjectiveKind
from trainer.training.batches import TrainingSplit, draw
from trainer.training.second_view import drawn_anew, with_second_view


@pytest.mark.parametrize("times", ["independent", "shared"])
def test_the_first_view_and_the_labels_are_what_they_are_without_a_second(digits, times):
    split = TrainingSplit.of(digits, CPU)
    wanted = with_second_view(Interpolant.draws, Contrastive(times=times))
    plain, both = (draw(draws, split, [3], 4, 8, 0.5) for draws in (Interpolant.draws, wanted))
    assert torch.equal(plain.labels, both.labels)
    assert torch.equal(plain.images, both.images)
    for name, part in plain.draws.items():
        assert torch.equal(part, both.draws[name])
    anew = drawn_anew(both.draws)
    assert anew.keys() == plain.draws.keys()
    assert not torch.equal(anew["noise"], plain.draws["noise"])
    assert torch.equal(anew["time"], plain.draws["time"]) == (times == "shared")


def test_the_second_view_is_a_function_of_seed_and_step(digits):
    split, wanted = TrainingSplit.of(digits, CPU), with_second_view(Interpolant.draws, Contrastive())
    one, again, later = (draw(wanted, split, [3], step, 8, 0.5).draws["view2.noise"] for step in (4, 4, 5))
    assert torch.equal(one, again)
    assert not torch.equal(one, later)


def test_a_contrastive_cohort_brings_the_two_views_of_an_image_together(build):
    changes = {"train.contrastive.block": 1, "train.contrastive.lambda": 0.5, "train.batch": 16}
    weak = build([BASELINE], RECIPE.override({**changes, "train.contrastive.lambda": 1e-6}))
    strong = build([BASELINE], RECIPE.override(changes))
    for cohort in (weak, strong):
        cohort.advance(60)
    left, right = (cohort.measure()[0] for cohort in (weak, strong))
    assert right.metrics["contrastive_loss"] < left.metrics["contrastive_loss"]
    assert "dispersive_loss" not in right.metrics
    assert not right.diverged


def test_views_that_share_their_times_train_otherwise_than_independent_ones(build):
    recipe = RECIPE.override({"train.contrastive.lambda": 0.5})
    other = recipe.override({"train.contrastive.times": "shared"})
    one, two = build([BASELINE], recipe), build([BASELINE], other)
    for cohort in (one, two):
        cohort.advance(3)
    assert not states_equal(one, two)


@pytest.mark.parametrize("kind", get_args(ObjectiveKind))
def test_every_objective_gives_a_second_view(build, kind):
    given = {**RECIPE.model_dump(exclude={"eval": {"solver"}, "objective": True}), "objective": {"kind": kind}}
    recipe = Recipe.model_validate(given).override({"train.contrastive.lambda": 0.5, "train.repa.lambda": 0.5})
    cohort = build([BASELINE], recipe)
    cohort.advance(2)
    assert cohort.state_dict()["tally.contrastive_loss"].isfinite().all()
    assert cohort.state_dict()["tally.alignment_loss"].isfinite().all()
