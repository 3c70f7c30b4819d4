"""What may change between the runs of one study, and how a change is told."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields, fingerprint

GIVEN: dict[str, Any] = {
    "name": "s",
    "question": "q?",
    "space": {"block": [0], "lambda": [0.1]},
    "controls": [{"name": "arm", "set": {"train.weight_decay": 0.5}}],
    "confirm": {"top": 2},
}


def study(**parts: Any) -> Study:
    return Study.model_validate({**GIVEN, **parts})


@pytest.mark.parametrize(
    "parts", [{"question": "why?"}, {"tuning": "well"}, {"resources": {"slots": 4}}, {"confirm": None}]
)
def test_words_resources_and_a_stage_to_come_may_change(parts: dict[str, Any]) -> None:
    assert changed_fields(study(), study(**parts)) == []


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"recipe": {"train": {"lr": 0.004}}}, ["recipe.train.lr: 0.008 -> 0.004"]),
        ({"space": {"block": [0, 1], "lambda": [0.1]}}, ["space.block: [0] -> [0, 1]"]),
        ({"space": {"block": [0], "lambda": [0.2]}}, ["space.lambda: [0.1] -> [0.2]"]),
        ({"screen": {"seeds": 2}}, ["screen.seeds: [0, 1, 2] -> [0, 1]"]),
        (
            {"controls": [{"name": "arm", "set": {"train.lr": 0.5}}]},
            [
                "controls.0.set.train.weight_decay: 0.5 -> not there",
                "controls.0.set.train.lr: not there -> 0.5",
            ],
        ),
    ],
)
def test_whatever_decides_a_figure_is_told_with_both_values(parts: dict[str, Any], told: list[str]) -> None:
    assert changed_fields(study(), study(**parts)) == told


def test_a_confirm_stage_that_has_begun_may_not_change() -> None:
    assert changed_fields(study(), study(confirm={"top": 5}), confirming=True) == ["confirm.top: 2 -> 5"]


def test_a_fingerprint_survives_the_studys_json() -> None:
    assert fingerprint(Study.model_validate_json(study().model_dump_json())) == fingerprint(study())
