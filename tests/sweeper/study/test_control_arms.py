"""Control arms that add a loss: REPA or a contrastive one, alone or beside a setting of the Dispersive Loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.errors import ConflictError, StudyError
from sweeper.planning.cells import cells
from sweeper.study import Study
from sweeper.study.control_arms import Control, control_fields
from sweeper.study.fingerprint import added, changed_fields
from sweeper.study.registration import Registration
from sweeper.study.space import ExtraCell
from sweeper.study.yaml_files import read_study, to_yaml
from trainer.recipe import Dispersion

REPA = {"name": "repa", "set": {"train.repa.block": 1, "train.repa.lambda": 0.5}}
BOTH = {**REPA, "name": "both", "block": 0.25, "lambda": 0.01, "tau": 0.5}


def study(*arms: dict[str, Any], **parts: Any) -> Study:
    space = {"block": [0], "lambda": [0.1]}
    return Study.model_validate({"name": "s", "question": "q?", "space": space, "controls": list(arms), **parts})


def places(error: ValidationError) -> list[tuple[int | str, ...]]:
    return [line["loc"] for line in error.errors()]


def test_a_control_may_add_repa_with_or_without_a_setting_of_the_dispersive_loss() -> None:
    planned = study(REPA, BOTH)
    alone, both = cells(planned)[-2:]
    assert (alone.role, alone.dispersion) == ("control", Dispersion())
    assert (both.role, both.dispersion) == ("control", Dispersion(blocks=(1,), lam=0.01, tau=0.5))
    assert alone.key != both.key
    recipes = [cell.recipe(planned.recipe) for cell in (alone, both)]
    assert recipes[0] == recipes[1]
    assert recipes[0].train.repa is not None
    assert (recipes[0].train.repa.block, recipes[0].train.repa.lam) == (1, 0.5)
    assert planned.recipe.train.repa is None


def test_a_control_has_every_field_of_a_setting_with_its_default() -> None:
    fields = ExtraCell.model_fields.items()
    own = {name: field.default for name, field in Control.model_fields.items()}
    assert {
        name: field.default for name, field in fields if name not in ("label", "block", "lam")
    }.items() <= own.items()
    assert (own["block"], own["lam"]) == (None, None)


@pytest.mark.parametrize(
    "form",
    [
        {"distance": "sum", "features": "layer_norm", "lambda_warmup": 0.1, "lambda_end": 0.5},
        {"tau_units": "median", "negatives": 64},
        {"variant": "cosine", "local_batch": 16},
    ],
)
def test_a_controls_setting_is_what_a_cell_of_the_same_words_trains(form: dict[str, Any]) -> None:
    setting = {"block": 0.25, "lambda": 0.01, "tau": 0.5, **form}
    planned = study({**REPA, **setting}, cells=[{"label": "c", **setting}])
    arm, cell = cells(planned)[-1].dispersion, cells(planned)[-2].dispersion
    assert arm == cell != Dispersion(blocks=(1,), lam=0.01, tau=0.5)


@pytest.mark.parametrize(
    ("arm", "place", "words"),
    [
        ({"set": {"train.repa.block": 9}}, ("set", "train.repa.block"), "within this model's depth 4, 0 to 3"),
        ({"set": {"train.repa.block": "all"}}, ("set", "train.repa.block"), "must be one block"),
        ({"set": {"train.repa.lambda": 0}}, ("set", "train.repa.lambda"), "greater than 0"),
        ({"set": {"train.repa.lam": 1}}, ("set", "train.repa.lam"), "must be a recipe field"),
        ({"set": {"train.repa": 1}}, ("set", "train.repa"), "must be set field by field, as train.repa.block: block,"),
        ({"set": {"train.contrastive.times": "some"}}, ("set", "train.contrastive.times"), "'independent' or 'shared'"),
        ({"set": {"model.kind": "unet"}}, ("set", "model.kind"), "must be that of the study's model, 'sit'"),
        ({"set": {"model.stream_scale": 0}}, ("set", "model.stream_scale"), "greater than 0"),
        ({**REPA, "block": 7, "lambda": 0.1}, ("block",), "within this model's depth 4, 0 to 3"),
        ({**BOTH, "set": {"model.depth": 8}}, ("block",), "must not stand beside a model of other blocks"),
        ({**BOTH, "set": {"train.batch": 1}}, ("set",), "must leave train.batch above 1 beside block and lambda"),
        ({"set": {"train.batch": 1, "train.contrastive.tau": 1}}, ("set",), "must not stand beside train.batch 1"),
        ({**REPA, "block": 1}, ("block",), "must stand beside block and lambda"),
        ({**REPA, "tau": 0.5}, ("tau",), "must stand beside block and lambda"),
        ({**BOTH, "local_batch": 5}, ("local_batch",), "must divide train.batch, 32"),
        ({**BOTH, "variant": "cosine", "tau_units": "relative"}, ("variant",), "where tau_units is relative"),
        ({**BOTH, "distance": "sum", "tau_units": "median"}, ("distance",), "must be mean where tau_units is median"),
        ({**BOTH, "local_batch": 16, "negatives": 64}, ("negatives",), "where local_batch is not 'all'"),
        ({**BOTH, "lambda_warmup": 0.5, "lambda_end": 0.5}, ("lambda_warmup",), "must be below lambda_end, 0.5"),
        ({**REPA, "lambda_warmup": 0.5}, ("lambda_warmup",), "must stand beside block and lambda"),
    ],
)
def test_what_is_wrong_with_an_arm_is_told_at_its_field(
    arm: dict[str, Any], place: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        study({"name": "arm", **arm})
    assert places(caught.value) == [("controls", 0, *place)]


def test_a_field_that_the_studys_model_lacks_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="a field that the study's model has, which is of kind 'unet'") as caught:
        study({"name": "arm", "set": {"model.gelu": "tanh"}}, recipe={"model": {"kind": "unet"}})
    assert places(caught.value) == [("controls", 0, "set", "model.gelu")]


def test_repas_encoder_is_never_what_fid_looks_through() -> None:
    arm = {**REPA["set"], "train.repa.encoder": "dinov2", "train.repa.weights": "small.pt"}
    scored = {"eval": {"extractor": "dinov2", "weights": "large.pt"}}
    with pytest.raises(ValidationError, match="it would score what it taught") as caught:
        study({"name": "repa", "set": arm}, recipe=scored)
    assert places(caught.value) == [("controls", 0, "set", "train.repa.encoder")]


def test_two_arms_of_one_recipe_may_differ_in_their_setting_alone() -> None:
    study(REPA, BOTH, {**BOTH, "name": "other", "lambda": 0.1})
    with pytest.raises(ValidationError, match="trains like control 'both'"):
        study(BOTH, {**BOTH, "name": "again", "block": 1})
    with pytest.raises(ValidationError, match="trains like control 'repa'"):
        study(REPA, {"name": "again", "set": {**REPA["set"], "train.repa.block": 0.25}})


def test_a_mistake_in_a_file_is_shown_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(to_yaml(study(REPA)).replace("train.repa.block: 1", "train.repa.bock: 1"))
    with pytest.raises(StudyError, match=r"unknown field 'train\.repa\.bock' in controls\.0\.set") as caught:
        read_study(file)
    assert caught.value.remedy == "Write 'train.repa.block' instead of 'train.repa.bock'."


def test_a_study_of_such_arms_is_itself_after_yaml_and_json(tmp_path: Path) -> None:
    planned = study(REPA, BOTH, recipe={"train": {"contrastive": {"block": 0.25, "lambda": 0.1}}})
    file = tmp_path / "s.yaml"
    file.write_text(to_yaml(planned))
    assert read_study(file) == planned
    assert Study.model_validate_json(planned.model_dump_json()) == planned


def test_such_an_arm_may_be_added_to_a_study_and_not_changed() -> None:
    before = study(REPA)
    assert changed_fields(before, study(REPA, BOTH)) == []
    assert added(before, study(REPA, BOTH)) == ["controls: 1 more"]
    assert changed_fields(study(BOTH), study({**BOTH, "lambda": 0.02})) == ["controls.0.lambda: 0.01 -> 0.02"]


def test_an_arm_of_a_variant_whose_formula_has_changed_is_not_continued(tmp_path: Path) -> None:
    planned = study({**BOTH, "variant": "covariance", "tau": 1.0})
    begun = Registration.of(planned, tmp_path).model_copy(update={"formulas": {"covariance": 1}})
    with pytest.raises(ConflictError, match="variant 'covariance' was computed by another formula"):
        begun.continued(planned, confirming=False)


def test_the_fields_of_a_loss_that_may_be_added_are_named_one_by_one() -> None:
    fields = control_fields()
    assert {"train.repa.lambda", "train.repa.encoder", "train.contrastive.tau", "train.steps"} <= {*fields}
    assert not {"train.repa", "train.contrastive", "train.repa.lam"} & {*fields}
