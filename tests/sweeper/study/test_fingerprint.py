"""What may change between the runs of one study, and how a change is told."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study import Study
from sweeper.study.fingerprint import added, changed_fields, fields, fingerprint

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
    "parts",
    [{"question": "why?"}, {"tuning": "well"}, {"resources": {"slots": 4}}, {"confirm": None}, {"keep": "all"}],
)
def test_words_resources_and_a_stage_to_come_may_change(parts: dict[str, Any]) -> None:
    assert changed_fields(study(), study(**parts)) == []
    assert fingerprint(study(**parts)) == fingerprint(study())


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"recipe": {"train": {"lr": 0.004}}}, ["recipe.train.lr: 0.008 -> 0.004"]),
        ({"space": {"block": [1], "lambda": [0.1]}}, ["space.block: [0] -> [1]"]),
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
    again = Study.model_validate_json(study().model_dump_json())
    assert (fingerprint(again), fields(again)) == (fingerprint(study()), fields(study()))


EXTENDED: list[tuple[dict[str, Any], list[str]]] = [
    ({"screen": {"seeds": 5}}, ["screen.seeds: 2 more"]),
    ({"screen": {"baseline_seeds": 7}}, ["screen.baseline_seeds: 4 more"]),
    ({"space": {"block": [1, 0, 0.0, "all"], "lambda": [0.1]}}, ["space.block: 2 more"]),
    ({"space": {"block": [0], "lambda": [0.2, 0.1], "tau": [1, 2]}}, ["space.lambda: 1 more", "space.tau: 1 more"]),
    ({"cells": [{"label": "x", "block": 0, "lambda": 0.5}]}, ["cells: 1 more"]),
    ({"controls": [*GIVEN["controls"], {"name": "slow", "set": {"train.lr": 0.001}}]}, ["controls: 1 more"]),
]


@pytest.mark.parametrize(("parts", "more"), EXTENDED)
def test_seeds_cells_and_controls_may_be_added_until_the_confirm_stage_begins(
    parts: dict[str, Any], more: list[str]
) -> None:
    before, after = study(), study(**parts)
    assert (changed_fields(before, after), sorted(added(before, after))) == ([], sorted(more))
    assert fingerprint(before) == fingerprint(after)
    assert changed_fields(before, after, confirming=True) != []
    assert changed_fields(after, before) != []


def test_what_a_search_draws_from_may_not_grow_but_its_budget_may() -> None:
    screen = {"sampler": "random", "trials": 30}
    before = study(screen=screen)
    assert changed_fields(before, study(screen={**screen, "trials": 40})) == []
    assert changed_fields(study(screen={**screen, "trials": 40}), before) != []
    assert changed_fields(before, study(screen=screen, space={"block": [0, 1], "lambda": [0.1]})) != []


@pytest.mark.parametrize(
    "parts",
    [
        {"recipe": {"train": {"lr": 0.004}}},
        {"recipe": {"eval": {"full_samples": 20_000}}},
        {"screen": {"rungs": [0.25, 1]}},
        {"space": {"block": [0], "lambda": [0.1], "tau_units": "relative"}},
    ],
)
def test_a_fingerprint_is_of_what_may_never_change(parts: dict[str, Any]) -> None:
    assert fingerprint(study(**parts)) != fingerprint(study())
