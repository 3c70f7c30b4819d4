"""A study refuses what its parts cannot do together, and stays itself through JSON."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from sweeper.study import Range, Study, block_indices, fresh_seeds
from sweeper.study.pruners import PRUNERS, Pruner
from trainer.recipe import numbered


def study(**parts: Any) -> Study:
    given = {"name": "s", "question": "q?", "space": {"block": [0], "lambda": [0.1]}, **parts}
    return Study.model_validate(given)


def paths(error: ValidationError) -> list[tuple[int | str, ...]]:
    return [line["loc"] for line in error.errors()]


@pytest.mark.parametrize(
    ("written", "indices"),
    [(0, (0,)), (3, (3,)), (0.25, (1,)), (1.0, (3,)), (0.0, (0,)), ("all", (0, 1, 2, 3)), ((3, 0.0, 0), (0, 3))],
)
def test_a_block_is_an_index_a_fraction_all_or_a_list_of_these(written: Any, indices: tuple[int, ...]) -> None:
    assert block_indices(written, numbered(4)) == indices


def test_an_index_and_a_fraction_of_the_same_value_stay_apart_in_a_study() -> None:
    assert study(space={"block": [1, 1.0], "lambda": [1]}).space.block == (1, 1.0)
    first, last = study(space={"block": [1, 1.0], "lambda": [1]}).space.block
    assert (type(first), type(last)) == (int, float)


def test_a_block_outside_the_depth_is_told_at_its_element() -> None:
    with pytest.raises(ValidationError) as caught:
        study(space={"block": [0, 4, [1, 9]], "lambda": [1]})
    assert paths(caught.value) == [("space", "block", 1), ("space", "block", 2, 1)]


def test_a_logarithmic_range_has_equal_ratios_and_both_ends() -> None:
    assert Range(low=0.001, high=1, count=4).points() == (0.001, 0.01, 0.1, 1.0)


def test_a_linear_range_has_equal_steps_and_both_ends() -> None:
    assert Range(low=1, high=2, count=5, scale="linear").points() == (1.0, 1.25, 1.5, 1.75, 2.0)


def test_a_number_of_seeds_stands_for_the_first_in_the_screen_and_for_seeds_of_its_own_in_confirm() -> None:
    written = study(screen={"seeds": 2}, confirm={"seeds": 3})
    assert written.screen.seeds == (0, 1)
    assert written.confirm is not None
    assert (written.confirm.seeds, len(fresh_seeds(written))) == (3, 3)


@pytest.mark.parametrize("seeds", [0, -1, 10**9, True, "3", [1, 1], []])
def test_seeds_that_are_none_endless_or_repeated_are_refused(seeds: Any) -> None:
    with pytest.raises(ValidationError):
        study(screen={"seeds": seeds})


@pytest.mark.parametrize("rungs", [[0.5], [1, 0.5], [0.5, 0.5, 1], [0, 1], [0.5, 1.5], []])
def test_rungs_must_rise_and_end_at_one(rungs: list[float]) -> None:
    with pytest.raises(ValidationError):
        study(screen={"rungs": rungs})


def test_a_confirming_seed_must_not_be_one_of_the_screen() -> None:
    with pytest.raises(ValidationError) as caught:
        study(screen={"seeds": [0, 1]}, confirm={"seeds": [7, 1]})
    assert paths(caught.value) == [("confirm", "seeds", 1)]


@pytest.mark.parametrize("name", [".", "..", "....", "", "a/b", "a b", "ä", "a\n", "x" * 65])
def test_a_name_that_is_no_plain_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        study(name=name)


@pytest.mark.parametrize("name", ["a", ".a", "a.", "..a", "A-1_b.c", "x" * 64])
def test_a_plain_folder_name_is_a_name(name: str) -> None:
    assert study(name=name).name == name


def test_a_control_that_trains_like_the_baseline_is_refused() -> None:
    with pytest.raises(ValidationError, match="trains like the baseline"):
        study(controls=[{"name": "arm", "set": {"train.weight_decay": 0.0}}])


def test_two_controls_that_train_alike_are_refused() -> None:
    arms = [{"name": name, "set": {"train.weight_decay": 0.5}} for name in ("one", "two")]
    with pytest.raises(ValidationError, match="trains like control 'one'"):
        study(controls=arms)


@pytest.mark.parametrize("field", ["eval.nfe", "eval.samples", "data.name", "model.preset", "train.nothing", "train"])
def test_a_control_may_not_change_how_trials_are_measured_nor_set_unknown_fields(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        study(controls=[{"name": "arm", "set": {field: 4}}])
    assert paths(caught.value) == [("controls", 0, "set", field)]


@pytest.mark.parametrize(("field", "value"), [("train.steps", True), ("train.lr", -1.0), ("train.steps", "5")])
def test_a_control_value_of_the_wrong_type_or_range_is_told_at_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        study(controls=[{"name": "arm", "set": {field: value}}])
    assert paths(caught.value) == [("controls", 0, "set", field)]


def test_dispersion_needs_a_batch_of_two() -> None:
    with pytest.raises(ValidationError, match="0 at batch 1"):
        study(recipe={"train": {"batch": 1}})


def test_relative_tau_is_for_l2_alone() -> None:
    with pytest.raises(ValidationError) as caught:
        study(space={"block": [0], "lambda": [1], "variant": ["l2", "hinge"], "tau_units": "relative"})
    assert paths(caught.value) == [("space", "variant", 1)]


def test_an_extra_cell_that_repeats_another_is_refused_however_its_block_is_written() -> None:
    setting = {"lambda": 0.5, "tau": 0.5}
    with pytest.raises(ValidationError, match=r"repeats cells\.0"):
        study(cells=[{"label": "a", "block": 0.25, **setting}, {"label": "b", "block": [1], **setting}])


@pytest.mark.parametrize(("trials", "fits"), [(5, False), (6, True)])
def test_a_trial_budget_must_leave_one_configuration_beside_baseline_and_controls(trials: int, fits: bool) -> None:
    parts: dict[str, Any] = {
        "controls": [{"name": "arm", "set": {"train.weight_decay": 0.5}}],
        "screen": {"sampler": "tpe", "seeds": 2, "trials": trials},
    }
    if fits:
        assert study(**parts).screen.trials == trials
    else:
        with pytest.raises(ValidationError, match="at least 6"):
            study(**parts)


@pytest.mark.parametrize("screen", [{"sampler": "grid", "trials": 9}, {"sampler": "random"}, {"sampler": "tpe"}])
def test_a_budget_goes_with_random_and_tpe_and_with_nothing_else(screen: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        study(screen=screen)


def test_a_study_is_the_same_after_json() -> None:
    space = {"block": [0, 0.5, 1.0, "all", [0, 0.5]], "lambda": {"low": 0.1, "high": 1, "count": 3}, "tau": [1]}
    written = study(space=space, cells=[{"label": "p", "block": 0.25, "lambda": 0.5, "tau": 0.5}], confirm={})
    assert Study.model_validate_json(written.model_dump_json()) == written


def test_every_pruner_has_its_row():
    assert set(PRUNERS) == set(get_args(Pruner))


def test_a_local_batch_divides_the_batch_and_is_below_it() -> None:
    assert study(space={"block": [0], "lambda": [1], "local_batch": [16, "all"]}).space.local_batch == (16, "all")
    cell = {"label": "c", "block": 0, "lambda": 1, "local_batch": 7}
    with pytest.raises(ValidationError) as caught:
        study(space={"block": [0], "lambda": [1], "local_batch": [12, 32, 8]}, cells=[cell])
    assert paths(caught.value) == [
        ("space", "local_batch", 0),
        ("space", "local_batch", 1),
        ("cells", 0, "local_batch"),
    ]
    assert "must divide train.batch, 32, and be below it; 'all' compares the whole batch" in str(caught.value)


@pytest.mark.parametrize("given", [0, 1, True, "some", 2.5, None, 65537])
def test_a_local_batch_is_all_or_a_number_of_samples(given: object) -> None:
    with pytest.raises(ValidationError, match="must be 'all' or a number of samples from 2 to 65536") as caught:
        study(space={"block": [0], "lambda": [1], "local_batch": [given]})
    assert paths(caught.value)[0] == ("space", "local_batch", 0)


def test_a_memory_bank_that_is_too_large_is_one_mistake() -> None:
    with pytest.raises(ValidationError, match="a number of earlier samples from 1 to 65536") as caught:
        study(space={"block": [0], "lambda": [1], "negatives": [65537]})
    assert paths(caught.value)[0] == ("space", "negatives", 0)


@pytest.mark.parametrize(
    "more", [{"variant": ["l2", "covariance"]}, {"tau_units": "relative"}, {"tau_units": ["absolute", "median"]}]
)
def test_two_samples_are_too_few_where_their_one_distance_is_constant(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="must be above 2"):
        study(space={"block": [0], "lambda": [1], "local_batch": [2], **more})
    study(space={"block": [0], "lambda": [1], "local_batch": [2]})


def test_a_control_does_not_change_what_is_predicted() -> None:
    with pytest.raises(ValidationError):
        study(controls=[{"name": "noise", "set": {"objective.predicts": "noise"}}])


@pytest.mark.parametrize(
    ("space", "place", "words"),
    [
        (
            {"tau_units": ["absolute", "median"], "variant": ["l2", "hinge"]},
            ("variant", 1),
            "must be l2 where tau_units is median",
        ),
        (
            {"tau_units": "relative", "distance": ["mean", "sum"]},
            ("distance", 1),
            "must be mean where tau_units is relative",
        ),
        (
            {"local_batch": [16, "all"], "negatives": ["batch", 64]},
            ("negatives", 1),
            "must be 'batch' where local_batch is not 'all'",
        ),
        ({"lambda_warmup": [0, 0.5], "lambda_end": [1, 0.5]}, ("lambda_warmup", 1), "must be below lambda_end, 0.5"),
        ({"negatives": [0]}, ("negatives", 0), "must be 'batch' or a number of earlier samples from 1"),
        ({"lambda_end": [1.5]}, ("lambda_end", 0), "less than or equal to 1"),
        ({"features": ["normed"]}, ("features", 0), "'raw' or 'layer_norm'"),
    ],
)
def test_forms_of_the_loss_that_contradict_one_another_are_refused_where_they_are_written(
    space: dict[str, object], place: tuple[str, int], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        study(space={"block": [0], "lambda": [1], **space})
    assert paths(caught.value)[0] == ("space", *place)
    assert words in str(caught.value)
    several = {"tau_units", "variant", "distance", "local_batch", "negatives", "lambda_warmup", "lambda_end"}
    cell = {name: value[-1] if isinstance(value, list) else value for name, value in space.items() if name in several}
    if "local_batch" in cell:
        cell["local_batch"] = 16
    with pytest.raises(ValidationError) as caught:
        study(
            space={"block": [0], "lambda": [1]}, cells=[{"label": "c", "block": 0, "lambda": 1, **cell, **_last(space)}]
        )
    assert paths(caught.value) == [("cells", 0, place[0])]


def _last(space: dict[str, object]) -> dict[str, object]:
    return {"features": space["features"][-1]} if isinstance(space.get("features"), list) else {}
