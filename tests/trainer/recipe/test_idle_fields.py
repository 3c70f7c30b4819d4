"""Fields that change nothing beside the others are refused where they are written, and accepted where they act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from trainer.recipe import Recipe
from trainer.recipe.idle_fields import RECIPE

Tree = dict[str, dict[str, Any]]

ARRAYS = {"data": {"name": "npz", "path": "x.npz"}}
FOLDER = {"data": {"name": "folder", "path": "x", "image_size": 8}}
NORMAL = {"objective": {"times": "logit_normal"}}
MEAN_FLOW = {"objective": {"kind": "mean_flow"}}
MODULE = {"model": {"kind": "module", "factory": "a:b", "taps": ("x",)}}

# A value of each field of the table, a recipe in which it changes nothing, and one in which it acts.
CASES: Mapping[str, tuple[object, Tree, Tree]] = {
    "data.layout": ("channels_last", {}, ARRAYS),
    "data.scale": (0.5, FOLDER, ARRAYS),
    "data.shift": (0.5, {}, ARRAYS),
    "data.shape": ((4, 1, 8, 8), {}, ARRAYS),
    "data.classes": (10, FOLDER, ARRAYS),
    "data.channels": (1, ARRAYS, FOLDER),
    "objective.time_mean": (1.0, {}, NORMAL),
    "objective.time_std": (2.0, {"objective": {"kind": "mean_flow", "times": "uniform"}}, MEAN_FLOW),
    "objective.offset": (0.5, {"objective": {"kind": "mean_flow", "power": 0.0}}, MEAN_FLOW),
    "train.time_scale": (2.0, MODULE, {}),
    "eval.cfg_interval": ((0.0, 0.5), {}, {"eval": {"cfg": 1.5}}),
    "eval.cfg_channels": ("public", {"eval": {"cfg_curve": (1.0,)}}, {"eval": {"cfg_curve": (1.0, 2.0)}}),
    "eval.cfg_samples": (100, {"eval": {"cfg": 2.0}}, {"eval": {"cfg_curve": (1.0, 2.0)}}),
    "eval.cfg_rungs": ((0.5, 1.0), {"eval": {"cfg": 2.0}}, {"eval": {"cfg_curve": (1.0, 2.0)}}),
    "eval.probe_levels": ((0.5,), {}, {"eval": {"linear_probe": "last rung"}}),
}
# What acts whatever stands beside it, but for what a validator of its own part refuses.
ALWAYS = {
    *("data.name", "data.path", "data.labels", "data.image_size", "data.limit", "data.flip", "data.holdout"),
    *(f"model.{name}" for name in ("kind", "preset", "width", "depth", "heads", "patch", "mlp_ratio", "gelu")),
    *(
        f"model.{name}"
        for name in ("stream_scale", "init", "levels", "final_conv", "factory", "path", "arguments", "taps")
    ),
    *(f"objective.{name}" for name in ("kind", "path", "predicts", "times", "steps", "schedule", "instant_share")),
    *(f"objective.{name}" for name in ("learned_variance", "clip", "min_snr", "power", "omega", "kappa")),
    *(f"objective.{name}" for name in ("p_mean", "p_std", "sigma_data")),
    *(f"train.{name}" for name in ("steps", "batch", "lr", "warmup", "beta1", "beta2", "weight_decay", "ema")),
    *(f"train.{name}" for name in ("label_drop", "schedule", "clip", "precision")),
    *(f"train.repa.{name}" for name in ("block", "lam", "hidden", "encoder", "weights")),
    *("train.later_blocks.block", "train.later_blocks.rate"),
    *(f"train.contrastive.{name}" for name in ("block", "lam", "tau", "distance", "times")),
    *(f"train.activation_norm.{name}" for name in ("block", "lam")),
    *(f"eval.{name}" for name in ("samples", "rung_samples", "full_samples", "batch", "solver", "nfe", "cfg")),
    *(f"eval.{name}" for name in ("cfg_curve", "extractor", "weights", "decoder", "probe", "metrics", "reference")),
    *("eval.linear_probe", "eval.compile", "eval.precision"),
}


def merged(tree: Tree, dotted: str, value: object) -> Tree:
    part, name = dotted.split(".")
    return {**tree, part: {**tree.get(part, {}), name: value}}


def leaves(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        parts = [*models(field.annotation)]
        for part in parts:
            yield from leaves(part, f"{before}{name}.")
        if not parts:
            yield f"{before}{name}"


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)


def test_every_field_of_a_recipe_is_known_to_act_always_or_beside_what() -> None:
    tabled = {row.field for row in RECIPE}
    assert {*leaves(Recipe)} == ALWAYS | tabled
    assert not ALWAYS & tabled
    assert {*CASES} == tabled


@pytest.mark.parametrize("field", CASES)
def test_a_field_that_changes_nothing_is_refused_at_its_own_place(field: str) -> None:
    value, idle, _ = CASES[field]
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(merged(idle, field, value))
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert error["msg"].startswith("must ")


@pytest.mark.parametrize("field", CASES)
def test_the_same_field_is_accepted_where_it_acts_and_at_its_default_everywhere(field: str) -> None:
    value, idle, acting = CASES[field]
    assert Recipe.model_validate(merged(acting, field, value)).hash != Recipe.model_validate(acting).hash
    kept = Recipe.model_validate(idle).model_dump()
    assert Recipe.model_validate(kept) == Recipe.model_validate(idle)


@pytest.mark.parametrize(
    ("tree", "loc", "says"),
    [
        ({"eval": {"solver": "ddim"}}, "eval.solver", "must be 'euler' or 'heun' or 'euler_maruyama', which sample"),
        (
            {"objective": {"kind": "diffusion", "steps": 50}, "eval": {"nfe": 60}},
            "eval.nfe",
            "must be at most objective.steps, 50",
        ),
        (
            {"objective": {"kind": "diffusion", "steps": 5, "schedule": "cosine"}},
            "objective.steps",
            "must be at least eval.nfe, 10",
        ),
        ({"eval": {"cfg": 2}, "train": {"label_drop": 0}}, "train.label_drop", "must be above 0 beside eval.cfg 2"),
        (
            {"eval": {"linear_probe": "last rung"}, "train": {"label_drop": 0}},
            "train.label_drop",
            "must be above 0 beside eval.linear_probe",
        ),
        (
            {"objective": {"kind": "mean_flow", "omega": 2}, "train": {"label_drop": 0}},
            "train.label_drop",
            "must be above 0 beside objective.omega and kappa",
        ),
        (
            {"objective": {"path": "gvp"}, "train": {"predicts": "noise"}},
            "train.predicts",
            "must be written as objective.predicts",
        ),
    ],
)
def test_parts_that_contradict_one_another_are_refused_where_one_of_them_is_written(
    tree: Tree, loc: str, says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(tree)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == loc
    assert error["msg"].startswith(says)
