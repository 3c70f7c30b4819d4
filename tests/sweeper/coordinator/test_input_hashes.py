"""Data and extractor belong to a study from its first trial on."""

from __future__ import annotations

import json

import pytest

from sweeper.coordinator.input_hashes import NOTE, hold
from sweeper.errors import DataError, StaleAttemptError
from tests.sweeper.coordinator.coordinators import FACTS, claimed, open_coordinator, ready, study
from tests.sweeper.coordinator.test_finalists import Notes
from trainer.recipe import ModuleRecipe, Recipe

__all__ = ["ready"]  # a fixture, used by being here

RECIPE = study().recipe


def test_the_first_worker_decides_what_the_study_is_of():
    notes = Notes()
    hold(notes, RECIPE, FACTS)
    hold(notes, RECIPE, FACTS)
    with pytest.raises(DataError, match=f"its hash is changed, it was {FACTS.data_hash[:16]}"):
        hold(notes, RECIPE, FACTS.model_copy(update={"data_hash": "changed"}))
    with pytest.raises(DataError, match=r"the extractor .* is not the one this study is scored by"):
        hold(notes, RECIPE, FACTS.model_copy(update={"extractor_sha256": "changed"}))


def test_an_arm_that_trains_on_other_data_on_purpose_has_a_hash_of_its_own():
    notes = Notes()
    hold(notes, RECIPE, FACTS)
    hold(notes, RECIPE.override({"data.limit": 50}), FACTS.model_copy(update={"data_hash": "fifty"}))
    hold(notes, RECIPE.override({"train.lr": 0.1}), FACTS)


def test_a_model_of_the_users_own_is_held_to_its_code():
    notes, facts = Notes(), FACTS.model_copy(update={"source_sha256": "a" * 64})
    own = ModuleRecipe(kind="module", factory="nets:unet", taps=("mid",))
    recipe = RECIPE.model_copy(update={"model": own})
    hold(notes, recipe, facts)
    hold(notes, recipe, facts)
    with pytest.raises(
        DataError, match=f"the code of nets:unet is not what this study began with: its hash is {'b' * 16}"
    ):
        hold(notes, recipe, facts.model_copy(update={"source_sha256": "b" * 64}))


def test_a_file_of_reference_statistics_belongs_to_the_study_and_a_study_without_one_is_named_as_before():
    notes, facts = Notes(), FACTS.model_copy(update={"reference_sha256": "a" * 64})
    changes = {"eval.extractor": "inception", "eval.weights": "w", "eval.reference": "adm.npz"}
    recipe = Recipe.model_validate(RECIPE.model_dump() | {"eval": {k[5:]: v for k, v in changes.items()}})
    hold(notes, recipe, facts)
    hold(notes, recipe, facts)
    with pytest.raises(DataError, match=f"adm.npz is not what this study is scored against: its hash is {'b' * 16}"):
        hold(notes, recipe, facts.model_copy(update={"reference_sha256": "b" * 64}))
    plain = Notes()
    hold(plain, RECIPE, FACTS)
    (name,) = json.loads(plain.read(NOTE) or "")["by_recipe"]
    assert json.loads(name)[1:] == ["domain"]


def test_a_worker_that_reads_other_data_is_refused_after_a_restart_too(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    first = claimed(coordinator)
    coordinator.started(first.cohort, first.attempt, FACTS)
    coordinator.close(interrupted=True, timeout=30)
    again = open_coordinator(tmp_path, study())
    second = claimed(again)
    with pytest.raises(StaleAttemptError):
        again.started(second.cohort, second.attempt, FACTS.model_copy(update={"data_hash": "changed"}))
    assert isinstance(again.halted(), DataError)
    assert "is not what this study began with" in str(again.halted())
    again.close(interrupted=True, timeout=0)


def test_an_arm_that_is_aligned_is_held_to_its_encoder():
    notes, facts = Notes(), FACTS.model_copy(update={"encoder_sha256": "a" * 64})
    recipe = RECIPE.override({"train.repa.lambda": 0.5})
    hold(notes, RECIPE, FACTS)
    hold(notes, recipe, facts)
    hold(notes, recipe.override({"train.repa.block": 1}), facts)
    with pytest.raises(DataError, match=f"the encoder of train.repa is not .*: its hash is {'b' * 16}"):
        hold(notes, recipe, facts.model_copy(update={"encoder_sha256": "b" * 64}))
