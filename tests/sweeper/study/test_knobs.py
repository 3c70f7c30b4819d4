"""The knobs of a study: each is a field of the loss, has its place in a study file, and is read back as written."""

from __future__ import annotations

from typing import get_args

import pytest

from sweeper.study import ExtraCell, Space
from sweeper.study.knobs import BLOCK, KNOBS, TAU, cell_setting, setting_label, setting_of, written_values
from trainer.recipe import Dispersion, Variant, numbered

TAPS = numbered(4)
SETTINGS = [
    Dispersion(blocks=(0, 3), lam=0.25, tau=0.1),
    Dispersion(blocks=(0, 1, 2, 3), lam=0.3333333333, tau=2.0, tau_units="relative"),
    Dispersion(blocks=(2,), lam=1e-3, variant="covariance", local_batch=16),
]


def test_every_field_of_the_loss_is_a_knob_except_the_units_of_tau() -> None:
    assert {knob.field for knob in KNOBS} == Dispersion.model_fields.keys() - {"tau_units"}
    assert len({knob.name for knob in KNOBS}) == len(KNOBS)


@pytest.mark.parametrize("model", [Space, ExtraCell])
def test_a_study_file_has_every_knob_under_its_name(model: type[Space | ExtraCell]) -> None:
    written = {field.alias or name for name, field in model.model_fields.items()}
    assert {knob.name for knob in KNOBS} == written - {"tau_units", "label"}


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_setting_written_into_a_study_file_comes_back(setting: Dispersion) -> None:
    cell = ExtraCell.model_validate({"label": "x", **written_values(setting, TAPS)})
    assert cell_setting(cell, TAPS) == setting


def test_a_label_says_what_is_not_usual_with_all_its_digits() -> None:
    assert [setting_label(setting, TAPS) for setting in SETTINGS] == [
        "blocks 0+3, lambda 0.25, tau 0.1",
        "all blocks, lambda 0.3333333333, tau 2 relative",
        "block 2, lambda 0.001, covariance, local batch 16",
    ]


@pytest.mark.parametrize("variant", get_args(Variant))
def test_one_loss_has_one_spelling(variant: Variant) -> None:
    given = {"block": (1,), "lambda": 0.5, "variant": variant, "local_batch": "all"}
    settings = {setting_of({**given, "tau": tau}, "absolute") for tau in (0.5, 2.0)}
    assert len(settings) == (2 if TAU.applies(variant) else 1)


def test_a_knob_that_does_nothing_has_no_value() -> None:
    off, collapse = Dispersion(), Dispersion(lam=0.1, variant="covariance")
    assert [knob.shown(off, TAPS) for knob in KNOBS] == [None, 0.0, None, None, None]
    assert [knob.shown(collapse, TAPS) for knob in KNOBS] == ["0", 0.1, None, "covariance", "all"]
    assert (BLOCK.of(off), BLOCK.of(collapse)) == (None, (0,))
