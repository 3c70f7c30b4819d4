from typing import get_args

import pytest
from pydantic import ValidationError

from trainer.recipe import (
    SOLVERS,
    VARIANTS,
    BackboneRecipe,
    DataRecipe,
    Dispersion,
    EvalRecipe,
    InterpolantRecipe,
    ObjectiveRecipe,
    Recipe,
    Repa,
    SiTRecipe,
    TrainRecipe,
    UViTRecipe,
    Variant,
    auxiliary_losses,
)
from trainer.recipe.backbone import BackboneKind
from trainer.recipe.evaluation import Solver
from trainer.recipe.objective import TIME_SCALES, ObjectiveKind


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TrainRecipe, {"weight_decay": 1001}),
        (TrainRecipe, {"time_scale": 2e6}),
        (TrainRecipe, {"warmup": 2_000_000_000, "steps": 10}),
        (DataRecipe, {"name": "npz", "path": ""}),
        (DataRecipe, {"name": "folder", "path": "x", "image_size": 8, "channels": True}),
        (EvalRecipe, {"extractor": "inception", "weights": ""}),
        (EvalRecipe, {"samples": 100, "full_samples": 100}),
        (EvalRecipe, {"samples": 2, "full_samples": 2}),
        (Dispersion, {"tau": 1e-7}),
        (Dispersion, {"tau": 2e6}),
        (Dispersion, {"lam": 2e6}),
        (Dispersion, {"blocks": (1, 1)}),
        (Dispersion, {"blocks": (-1,)}),
        (Dispersion, {"tau_units": "relative", "variant": "cosine"}),
    ],
)
def test_what_is_out_of_range_is_refused_where_it_is(kind, given):
    with pytest.raises(ValueError, match="validation error") as caught:
        kind(**given)
    assert len(caught.value.errors()) == 1


@pytest.mark.parametrize(
    "given", [{"tau": 1e-6}, {"tau": 1e6}, {"lam": 1e6}, {"blocks": (3, 1)}, {"tau_units": "relative"}]
)
def test_the_bounds_themselves_are_allowed(given):
    assert Dispersion(**given)


def test_channels_are_one_or_three():
    folder = {"name": "folder", "path": "x", "image_size": 8}
    assert [DataRecipe(**folder, channels=channels).channels for channels in (1, 3)] == [1, 3]
    with pytest.raises(ValueError, match="channels must be 1 or 3, not a boolean"):
        DataRecipe(**folder, channels=True)


@pytest.mark.parametrize("given", [20_000, 10_001, 1_000_000, "auto", "none"])
def test_full_samples_are_read_strictly_as_a_study_file_is(given):
    assert EvalRecipe.model_validate({"full_samples": given}, strict=True).full_samples == given


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("given", [True, False, "5", 1.5, 20_000.0, None, [], {}, "all", 0, -1, 2, 1_000_001])
def test_other_full_samples_give_one_error_that_says_what_is_allowed(given, strict):
    with pytest.raises(ValidationError) as caught:
        EvalRecipe.model_validate({"full_samples": given}, strict=strict)
    (error,) = caught.value.errors()
    assert error["loc"] == ("full_samples",)
    assert error["msg"].endswith("must be 'auto', 'none' or a number of samples from 3 to 1000000")


def test_full_samples_must_be_more_than_the_proxys():
    with pytest.raises(ValidationError, match="full_samples 9999 must be above samples 10000"):
        Recipe().override({"eval.full_samples": 9999})
    with pytest.raises(ValidationError, match="full_samples 20000 must be above samples 20000"):
        EvalRecipe(samples=20_000, full_samples=20_000)


@pytest.mark.parametrize(
    ("given", "on_cuda", "on_cpu"),
    [
        ({}, "fid_50k", None),
        ({"full_samples": "none"}, None, None),
        ({"full_samples": 20_000}, "fid_20k", "fid_20k"),
        ({"full_samples": 12_345}, "fid_12345", "fid_12345"),
        ({"samples": 49_999}, "fid_50k", None),
        ({"samples": 50_000}, None, None),
    ],
)
def test_the_full_metric_is_named_by_its_count_which_auto_takes_from_the_device(given, on_cuda, on_cpu):
    recipe = EvalRecipe(**given)
    assert (recipe.full_fid("cuda"), recipe.full_fid("cpu")) == (on_cuda, on_cpu)
    assert (recipe.full_count("cuda") is None, recipe.full_count("cpu") is None) == (on_cuda is None, on_cpu is None)
    assert recipe.second_fid == f"{recipe.recorded('fid')}_second"


def test_guidance_without_dropped_labels_is_refused():
    with pytest.raises(ValueError, match=r"train\.label_drop\s+must be above 0 beside eval\.cfg 2"):
        Recipe().override({"eval.cfg": 2.0, "train.label_drop": 0.0})
    assert Recipe().override({"train.label_drop": 0.0}).eval.cfg == 1
    assert Recipe().override({"eval.cfg": 2.0}).train.label_drop > 0


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (SiTRecipe, {"width": 50, "heads": 2}, "width 50 must be divisible by 4 and by heads 2"),
        (SiTRecipe, {"width": 48, "heads": 5}, "width 48 must be divisible by 4 and by heads 5"),
        (UViTRecipe, {"kind": "uvit", "width": 48, "heads": 5}, "width 48 must be divisible by heads 5"),
        (UViTRecipe, {"kind": "uvit", "depth": 4, "heads": 5}, "depth must be odd, not 4: as many blocks"),
        (SiTRecipe, {"width": 8, "heads": 2, "mlp_ratio": 0.05}, "0.05 leaves no hidden unit at width 8"),
        (UViTRecipe, {"kind": "uvit", "width": 8, "mlp_ratio": 0.05}, "0.05 leaves no hidden unit at width 8"),
    ],
)
def test_a_transformer_whose_sizes_do_not_fit_is_refused(kind, given, message):
    with pytest.raises(ValueError, match=message):
        kind(**given)


def test_a_width_that_the_heads_alone_divide_is_a_uvits_and_one_hidden_unit_is_enough():
    assert UViTRecipe(kind="uvit", width=50, heads=2, mlp_ratio=0.02).hidden == 1
    assert SiTRecipe(width=8, heads=2, mlp_ratio=0.125).hidden == 1


def test_a_preset_fills_what_is_not_given():
    assert SiTRecipe(preset="B", depth=2) == SiTRecipe(preset="B", width=768, depth=2, heads=12, patch=2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("train.lr.x", r"train\.lr\.x: lr is a value and has no fields"),
        ("train.learning_rate", "train.learning_rate"),
        ("nowhere.lr", "nowhere"),
        ("train", "train"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused_with_its_path(path, message):
    with pytest.raises(ValueError, match=message):
        Recipe().override({path: 0.5})


def test_an_override_changes_its_field_its_hash_and_nothing_else():
    changed = Recipe().override({"train.weight_decay": 0.5})
    assert changed.train.weight_decay == 0.5
    assert changed.override({"train.weight_decay": 0.0}) == Recipe()
    assert changed.hash != Recipe().hash


def test_blocks_have_one_spelling():
    assert Dispersion(blocks=(3, 0, 2)) == Dispersion(blocks=(0, 2, 3))
    assert Dispersion(blocks=(3, 0, 2)).blocks == (0, 2, 3)


def test_rungs_before_the_last_are_named_by_what_they_draw() -> None:
    fewer, same = EvalRecipe(rung_samples=2500), EvalRecipe()
    assert [fewer.recorded("fid", last) for last in (False, True)] == ["fid_2500", "fid_10k"]
    assert [same.recorded("fid", last) for last in (False, True)] == ["fid_10k", "fid_10k"]
    assert EvalRecipe(rung_samples=10_000) != same
    with pytest.raises(ValidationError, match="rung_samples 10001 must not be above samples 10000"):
        EvalRecipe(rung_samples=10_001)


def test_what_rungs_and_finalists_draw_does_not_rename_a_recipe() -> None:
    recipe = Recipe()
    assert recipe.override({"eval.full_samples": 20_000, "eval.rung_samples": 1000}).hash == recipe.hash
    assert recipe.override({"eval.samples": 5_000}).hash != recipe.hash


def test_every_variant_says_which_formula_it_is_computed_by() -> None:
    assert set(VARIANTS) == set(get_args(Variant))


def test_an_override_begins_a_part_that_was_not_there_and_names_the_recipe_anew():
    plain = Recipe()
    aligned = plain.override({"train.repa.block": 0.25, "train.repa.lambda": 0.3})
    assert (plain.train.repa, aligned.train.repa) == (None, Repa.model_validate({"block": 0.25, "lambda": 0.3}))
    assert plain.hash == "642a8255d40bbfc5" != aligned.hash
    again = aligned.override({"train.repa.lambda": 0.4, "train.contrastive.tau": 0.1})
    assert (again.train.repa.block, again.train.repa.lam, again.train.contrastive.tau) == (0.25, 0.4, 0.1)
    assert Recipe.model_validate_json(again.model_dump_json()) == again


def test_a_block_written_in_two_ways_is_one_recipe():
    for loss in ("repa", "contrastive", "activation_norm"):
        one, same, other = (Recipe().override({f"train.{loss}.block": block}) for block in (1, 0.25, 0))
        assert one.hash == same.hash != other.hash


@pytest.mark.parametrize(
    ("train", "place", "words"),
    [
        ({"repa": {"block": 4}}, ("train", "repa", "block"), "within this model's depth 4, 0 to 3"),
        ({"contrastive": {"block": "mid"}}, ("train", "contrastive", "block"), "must be an index"),
        ({"repa": {"encoder": "dinov2"}}, ("train", "repa"), "weights is needed for encoder 'dinov2'"),
        ({"repa": {"weights": "x"}}, ("train", "repa"), "and not for 'local'"),
    ],
)
def test_a_loss_that_does_not_fit_the_recipe_is_refused_at_its_place(train, place, words):
    with pytest.raises(ValidationError, match=words) as caught:
        Recipe.model_validate({"train": train})
    assert caught.value.errors()[0]["loc"] == place


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"objective": {"kind": "diffusion"}, "eval": {"solver": "euler"}},
            "must be 'ddim' or 'ancestral', which sample",
        ),
        ({"objective": {"kind": "flow"}}, "kind must be 'interpolant', 'diffusion', 'mean_flow' or 'edm', not 'flow'"),
        ({"objective": {"kind": "mean_flow", "kappa": 0.5}, "train": {"label_drop": 0}}, "'no class' is never trained"),
        ({"eval": {"cfg_interval": [0.6, 0.4]}}, r"cfg_interval must rise, not \[0.6, 0.4\]"),
        ({"eval": {"cfg_curve": [1, 1.0000001]}}, "cfg_curve must differ within six digits"),
        ({"objective": {"kind": "diffusion", "steps": 21}, "eval": {"nfe": 22}}, "must be at most objective.steps, 21"),
        ({"objective": {"kind": "diffusion", "steps": 20}}, "steps must be at least 21 with schedule 'linear', not 20"),
        ({"objective": {"predicts": "noise"}, "train": {"predicts": "noise"}}, "must be written as objective.predicts"),
    ],
)
def test_parts_of_an_objective_that_do_not_fit_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Recipe.model_validate(given)


def test_what_suits_an_objective_is_filled_in_where_it_is_not_given():
    assert Recipe.model_validate({"objective": {"kind": "diffusion"}}).eval.solver == "ddim"
    assert Recipe.model_validate({"objective": {"kind": "mean_flow"}}).train.time_scale == 1
    given = {"objective": {"kind": "mean_flow"}, "train": {"steps": 7, "time_scale": 30}}
    assert (Recipe.model_validate(given).train.time_scale, Recipe.model_validate(given).train.steps) == (30, 7)
    assert SOLVERS.keys() == TIME_SCALES.keys() == {*get_args(ObjectiveKind)}
    assert {solver for solvers in SOLVERS.values() for solver in solvers} == {*get_args(Solver)}


def test_what_a_recipe_predicts_is_read_where_it_was_written_before():
    assert Recipe.model_validate({"train": {"predicts": "noise"}}).objective == InterpolantRecipe(predicts="noise")
    recorded = Recipe.model_validate({"train": {"predicts": "velocity"}})
    assert (recorded, recorded.hash) == (Recipe(), Recipe().hash)


@pytest.mark.parametrize(
    "given",
    [
        {"objective": {"path": "gvp"}},
        {"objective": {"kind": "diffusion"}},
        {"objective": {"kind": "edm"}},
        {"train": {"schedule": "constant"}},
        {"train": {"clip": 1.0}},
        {"model": {"gelu": "tanh"}},
        {"data": {"flip": True}},
        {"eval": {"cfg": 2, "cfg_channels": "public"}},
    ],
)
def test_every_choice_changes_the_hash(given):
    assert Recipe.model_validate(given).hash != Recipe().hash


@pytest.mark.parametrize(
    ("part", "union", "kinds"),
    [("model", BackboneRecipe, BackboneKind), ("objective", ObjectiveRecipe, ObjectiveKind)],
)
def test_every_kind_of_a_part_is_a_member_of_its_union_under_its_own_tag(part, union, kinds):
    tagged = {}
    for member in get_args(get_args(union)[0]):
        recipe, tag = get_args(member)
        tagged[tag.tag] = {f"<{kind}>" for kind in get_args(recipe.model_fields["kind"].annotation)}
    assert tagged == {f"<{kind}>": {f"<{kind}>"} for kind in get_args(kinds)}, f"kinds of recipe.{part}"


def test_every_field_that_adds_a_loss_is_one_of_the_auxiliary_losses():
    added = {
        kind
        for field in TrainRecipe.model_fields.values()
        for kind in get_args(field.annotation)
        if isinstance(kind, type) and kind.__module__ == auxiliary_losses.__name__
    }
    assert added == {*get_args(auxiliary_losses.AuxiliaryLoss)}
    assert {name for name, _ in TrainRecipe()} >= TrainRecipe(repa=Repa()).auxiliary_losses.keys() == {"repa"}
