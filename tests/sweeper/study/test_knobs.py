"""The knobs of a study: each is a field of the loss, has its place in a study file, and is read back as written."""

from __future__ import annotations

from typing import get_args

import pytest

from sweeper.planning.cells import cells
from sweeper.planning.size import size
from sweeper.study import ExtraCell, Space, Study
from sweeper.study.knobs import (
    BLOCK,
    KNOBS,
    TAU,
    cell_setting,
    parameter_knobs,
    setting_label,
    setting_of,
    written_values,
)
from trainer.recipe import Dispersion, Variant, numbered

TAPS = numbered(4)
SETTINGS = [
    Dispersion(blocks=(0, 3), lam=0.25, tau=0.1),
    Dispersion(blocks=(0, 1, 2, 3), lam=0.3333333333, tau=2.0, tau_units="relative"),
    Dispersion(blocks=(2,), lam=1e-3, variant="covariance", local_batch=16),
    Dispersion(blocks=(1,), lam=0.5, tau=64.0, variant="hinge", distance="sum", negatives=128),
    Dispersion(blocks=(1,), lam=0.5, tau_units="median", features="layer_norm", lam_warmup=0.1, lam_end=0.75),
]


def test_every_field_of_the_loss_is_a_knob() -> None:
    assert {knob.field for knob in KNOBS} == Dispersion.model_fields.keys()
    assert len({knob.name for knob in KNOBS}) == len(KNOBS)


@pytest.mark.parametrize("model", [Space, ExtraCell])
def test_a_study_file_has_every_knob_under_its_name(model: type[Space | ExtraCell]) -> None:
    written = {field.alias or name for name, field in model.model_fields.items()}
    assert {knob.name for knob in KNOBS} == written - {"label"}


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_setting_written_into_a_study_file_comes_back(setting: Dispersion) -> None:
    cell = ExtraCell.model_validate({"label": "x", **written_values(setting, TAPS)})
    assert cell_setting(cell, TAPS) == setting


def test_a_label_says_what_is_not_usual_with_all_its_digits() -> None:
    assert [setting_label(setting, TAPS) for setting in SETTINGS] == [
        "blocks 0+3, lambda 0.25, tau 0.1",
        "all blocks, lambda 0.3333333333, tau 2 relative",
        "block 2, lambda 0.001, covariance, local batch 16",
        "block 1, lambda 0.5, tau 64, hinge, summed distance, memory bank 128",
        "block 1, lambda 0.5, tau 1 median, layer-normalised, lambda warmup 0.1, lambda end 0.75",
    ]


@pytest.mark.parametrize("variant", get_args(Variant))
def test_one_loss_has_one_spelling(variant: Variant) -> None:
    given = {"block": (1,), "lambda": 0.5, "variant": variant, "local_batch": "all"}
    settings = {setting_of({**given, "tau": tau}) for tau in (0.5, 2.0)}
    assert len(settings) == (2 if TAU.applies(variant) else 1)


def test_a_knob_that_does_nothing_has_no_value() -> None:
    off, collapse = Dispersion(), Dispersion(lam=0.1, variant="covariance")
    shown = {knob.name: (knob.shown(off, TAPS), knob.shown(collapse, TAPS)) for knob in KNOBS}
    assert {name: at_zero for name, (at_zero, _) in shown.items() if at_zero is not None} == {"lambda": 0.0}
    idle = {"tau", "tau_units", "distance", "negatives"}
    assert {name for name, (_, here) in shown.items() if here is None} == idle
    assert (shown["block"][1], shown["lambda"][1], shown["variant"][1]) == ("0", 0.1, "covariance")
    assert (BLOCK.of(off), BLOCK.of(collapse)) == (None, (0,))


def parameters(**space: object) -> list[str]:
    study = Study.model_validate({"name": "x", "question": "?", "space": {"block": ["all"], "lambda": [0.1], **space}})
    return [knob.name for knob in parameter_knobs(study)]


def test_units_of_tau_are_a_parameter_only_where_a_study_lists_several() -> None:
    before = ["block", "lambda", "tau", "variant"]
    for units in ("absolute", "relative", ["relative"]):
        assert parameters(tau_units=units) == before
    assert parameters(tau_units=["relative", "median"]) == [*before, "tau_units"]


def test_one_unit_in_a_list_is_the_study_that_was_recorded_with_the_word() -> None:
    one, other = (Space.model_validate({"block": [0], "lambda": [0.1], "tau_units": u}) for u in ("median", ["median"]))
    assert one == other
    assert one.model_dump() == other.model_dump()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("distance", ["mean", "sum"]),
        ("features", ["raw", "layer_norm"]),
        ("tau_units", ["absolute", "relative", "median"]),
        ("negatives", ["batch", 64, 128]),
        ("lambda_warmup", [0.0, 0.1]),
        ("lambda_end", [0.5, 1.0]),
    ],
)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_knob_in_a_space_is_swept_and_counted(name: str, values: list[object], lanes: int) -> None:
    space = {"block": [0, "all"], "lambda": [0.1], name: values}
    study = Study.model_validate({"name": "x", "question": "?", "space": space})
    grid = [cell for cell in cells(study) if cell.role == "grid"]
    (knob,) = [one for one in KNOBS if one.name == name]
    assert len({cell.label for cell in grid}) == len(grid) == 2 * len(values)
    assert {knob.of(cell.dispersion) for cell in grid} == {*values}
    planned = size(study, lanes)
    assert planned.cells == 1 + len(grid)
    # A cohort's lanes have one recipe and memory banks of one size.
    banks: dict[object, int] = {}
    for cell in cells(study):
        banks[cell.dispersion.bank] = banks.get(cell.dispersion.bank, 0) + 1
    assert planned.cohorts == 3 * sum(-(-count // lanes) for count in banks.values())
    assert parameters(**{name: values})[-1] == name
