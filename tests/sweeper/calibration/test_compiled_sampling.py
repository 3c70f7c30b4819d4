"""How a study draws its samples: what pays, what was begun with, and what happens where it cannot be had."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sweeper.calibration import timed_sampling
from sweeper.calibration.compiled_sampling import candidates, choose, may_pay
from sweeper.calibration.timed_sampling import Attempt, try_sampling
from sweeper.commands.plan import Forecast, describe
from sweeper.errors import SetupError
from sweeper.study import Study
from sweeper.study.sampling import SETS, Sampling
from trainer.errors import CompilerError
from trainer.runtime.compiler import has_compiler

NONE = Attempt({}, "there is no compiler")
BOTH: tuple[Sampling, ...] = ("compiled fp32", "compiled bf16")
SMALL = {"model": {"width": 16, "depth": 1, "heads": 2}, "eval": {"batch": 20}}
compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")


def study(trials: int = 200, compile: str = "auto", precision: str = "auto", **parts: Any) -> Study:
    recipe = {"eval": {"compile": compile, "precision": precision}}
    space = {"block": [0], "lambda": [0.1], "tau": [0.5]}
    tree = {"name": "s", "question": "q?", "recipe": recipe, "space": space, "screen": {"seeds": trials // 2}}
    return Study.model_validate(tree | parts)


def never(_: Sequence[Sampling]) -> Attempt:
    raise AssertionError("nothing is compiled to decide this")


def gains(fp32: float = 0.0, bf16: float = 0.0) -> Attempt:
    """Return an attempt in which compiled code was so many times as fast; 0: it was not tried."""
    return Attempt({way: gain for way, gain in zip(BOTH, (fp32, bf16), strict=True) if gain})


@compiler
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


def test_a_solver_whose_last_evaluation_stands_alone_can_be_timed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    heun = {**SMALL, "objective": {"kind": "edm"}, "eval": {"batch": 20, "solver": "heun", "nfe": 7}}
    assert try_sampling(study(recipe=heun), tmp_path, tmp_path, ["eager fp32"]).gains.keys() == {"eager fp32"}


@compiler
@pytest.mark.parametrize(
    ("attempt", "sampling"),
    [
        (gains(fp32=1.2, bf16=1.6), "compiled bf16"),
        (gains(fp32=1.2, bf16=1.25), "compiled fp32"),
        (gains(fp32=1.2), "compiled fp32"),
        (gains(fp32=1.01, bf16=1.02), "eager fp32"),
        (gains(fp32=0.9, bf16=1.04), "eager fp32"),
        (NONE, "eager fp32"),
    ],
)
def test_a_study_that_begins_takes_what_was_faster(attempt, sampling):
    assert choose(study(), None, 2, lambda _: attempt) == sampling


@compiler
@pytest.mark.parametrize(("asked", "tried"), [("auto", BOTH), ("fp32", BOTH[:1]), ("bf16", BOTH[1:])])
def test_what_is_asked_for_alone_is_tried(asked, tried):
    seen = []

    def attempt(ways: Sequence[Sampling]) -> Attempt:
        seen.append(tuple(ways))
        return Attempt(dict.fromkeys(ways, 2.0))

    assert choose(study(precision=asked), None, 2, attempt) in tried
    assert seen == [tried]


def test_bfloat16_is_not_tried_of_what_is_no_transformer():
    unet = study(recipe={"model": {"kind": "unet"}, "eval": {"compile": "on"}})
    assert choose(unet, None, 2, lambda ways: Attempt(dict.fromkeys(ways, 2.0))) == "compiled fp32"


@compiler
def test_a_plan_names_the_ways_that_will_be_tried():
    made = Forecast("s", 2, 100, 200, 0, 1, 200, 2, 0.01, 8.0, 600.0, 0, 0, False, sampling=candidates(study(), 2))
    several = "draws samples in eager fp32, compiled fp32 or compiled bf16, whichever is found fastest"
    assert several in describe(study(), made)
    assert describe(study(4), made._replace(sampling=candidates(study(4), 2))).endswith("draws samples in eager fp32")
    assert "draws samples" not in describe(study(resources={"gpus": 1}), made)


def test_a_study_too_small_for_it_compiles_nothing_to_find_out():
    assert choose(study(4), None, 2, never) == "eager fp32"
    assert choose(study(compile="off"), None, 2, never) == "eager fp32"
    assert choose(study(compile="off", precision="bf16"), None, 2, never) == "eager bf16"


@pytest.mark.parametrize("before", SETS)
def test_a_study_that_goes_on_keeps_its_choice_whatever_pays_here(before):
    assert choose(study(4), before, 2, lambda ways: Attempt(dict.fromkeys(ways, 0.1))) == before


@pytest.mark.parametrize("before", ["eager fp32", "eager bf16"])
def test_an_eager_study_that_goes_on_compiles_nothing(before):
    assert choose(study(), before, 2, never) == before


def test_a_study_in_bfloat16_that_goes_on_where_that_is_slow_says_so(caplog):
    choose(study(), "compiled bf16", 2, lambda _: gains(bf16=0.08))
    assert "samples take longer in the way this study began with, compiled bf16" in caplog.text


@pytest.mark.parametrize(("asked", "before"), [("on", None), ("auto", "compiled fp32"), ("auto", "compiled bf16")])
def test_a_study_of_compiled_code_stops_with_one_line_where_it_cannot_be_had(asked, before):
    with pytest.raises(SetupError, match="draws its samples by compiled code: there is no") as raised:
        choose(study(compile=asked), before, 2, lambda _: NONE)
    assert "g++" in raised.value.remedy


def test_a_study_of_compiled_code_does_not_go_on_on_a_gpu():
    with pytest.raises(SetupError, match="for CPUs alone"):
        choose(study(resources={"gpus": 1}), "compiled fp32", 1, never)


def test_an_attempt_that_failed_passes_between_processes(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise CompilerError("torch cannot compile the network: no g++")

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.setattr(timed_sampling, "_gains", fails)
    attempt = try_sampling(study(), tmp_path, tmp_path, BOTH)
    assert pickle.loads(pickle.dumps(attempt)) == attempt == Attempt({}, "torch cannot compile the network: no g++")


@compiler
def test_an_attempt_compiles_and_times_the_studys_sampling_and_keeps_the_code(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.setattr(timed_sampling, "HOPELESS", float("inf"))
    attempt = try_sampling(study(recipe=SMALL), tmp_path, tmp_path / "cache", BOTH)
    assert attempt.gains.keys() == {*BOTH}
    assert min(attempt.gains.values()) > 0
    assert not attempt.trouble
    assert [*(tmp_path / "cache" / "compiled").iterdir()]


def test_bfloat16_is_not_compiled_where_eager_code_is_slow_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    timed: list[tuple[int, int]] = []

    def seconds(drawings: Sequence[Callable[[], None]], turns: int) -> list[float]:
        timed.append((len(drawings), turns))
        return [1.0, 13.0] if turns == 1 else [1.0, 0.8]

    monkeypatch.setattr(timed_sampling, "_seconds", seconds)
    assert try_sampling(study(recipe=SMALL), tmp_path, tmp_path, BOTH).gains == {"compiled fp32": 1 / 0.8}
    assert timed == [(2, 1), (2, timed_sampling.TURNS)]
