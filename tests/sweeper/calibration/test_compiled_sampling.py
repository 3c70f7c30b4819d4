"""Who draws samples by compiled code: what pays, what was begun with, and what happens where it cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.calibration.compiled_sampling import Attempt, choose, may_pay, try_compiling
from sweeper.errors import SetupError
from sweeper.study import Study
from trainer.runtime.compiler import has_compiler

FASTER, SLOWER, NONE = Attempt(1.2), Attempt(1.01), Attempt(0.0, "there is no compiler")


def study(trials: int = 200, compile: str = "auto", **parts: Any) -> Study:
    recipe = {"eval": {"compile": compile}}
    space = {"block": [0], "lambda": [0.1], "tau": [0.5]}
    tree = {"name": "s", "question": "q?", "recipe": recipe, "space": space, "screen": {"seeds": trials // 2}}
    return Study.model_validate(tree | parts)


def never() -> Attempt:
    raise AssertionError("nothing is compiled to decide this")


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_compiling_is_tried_where_a_study_is_large_enough_to_save_more_than_it_takes():
    assert may_pay(study(200), slots=2)
    assert not may_pay(study(4), slots=2)
    assert not may_pay(study(200), slots=64)


def test_compiling_is_not_tried_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not may_pay(study(1000), slots=1)


def test_compiling_is_not_tried_on_a_gpu_nor_for_a_model_that_is_nearly_all_products():
    assert not may_pay(study(1000, resources={"gpus": 1}), slots=1)
    assert not may_pay(study(1000, recipe={"model": {"preset": "XL"}}), slots=1)


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize(("attempt", "compiled"), [(FASTER, True), (SLOWER, False), (NONE, False)])
def test_a_study_that_begins_takes_compiled_code_where_it_was_faster(attempt, compiled):
    assert choose(study(), None, 2, lambda: attempt) is compiled


def test_a_study_too_small_for_it_compiles_nothing_to_find_out():
    assert not choose(study(4), None, 2, never)
    assert not choose(study(compile="off"), None, 2, never)


def test_a_study_that_goes_on_keeps_its_choice_whatever_pays_here():
    assert choose(study(4), True, 2, lambda: SLOWER)
    assert not choose(study(), False, 2, never)


@pytest.mark.parametrize(("asked", "before"), [("on", None), ("auto", True)])
def test_a_study_of_compiled_code_stops_with_one_line_where_it_cannot_be_had(asked, before):
    with pytest.raises(SetupError, match="draws its samples by compiled code: there is no") as raised:
        choose(study(compile=asked), before, 2, lambda: NONE)
    assert "g++" in raised.value.remedy


def test_a_study_of_compiled_code_does_not_go_on_on_a_gpu():
    with pytest.raises(SetupError, match="for CPUs alone"):
        choose(study(resources={"gpus": 1}), True, 1, never)


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_an_attempt_compiles_and_times_the_studys_sampling_and_keeps_the_code(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    recipe = {"model": {"width": 16, "depth": 1, "heads": 2}, "eval": {"batch": 20}}
    attempt = try_compiling(study(recipe=recipe), tmp_path, tmp_path / "cache")
    assert attempt.gain > 0
    assert not attempt.trouble
    assert [*(tmp_path / "cache" / "compiled").iterdir()]
