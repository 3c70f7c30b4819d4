"""The plan of a study: which cells and trials, in which order, at which steps, and how much that is."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.planning.cells import BASELINE, cells
from sweeper.planning.size import announce, estimate, searched_count, size
from sweeper.planning.trials import (
    GPU_LANES,
    confirm_trials,
    curve_evaluations,
    evaluations,
    lane_count,
    rung_steps,
    screen_trials,
)
from sweeper.study import Study, fresh_seeds
from trainer.recipe import Recipe

PAPER = {"label": "paper's default", "block": 0.25, "lambda": 0.5, "tau": 0.5}
DECAY = {"name": "weight-decay", "set": {"train.weight_decay": 0.5}}


def study(block: Any = (0, 1), lam: Any = (0.25,), tau: Any = (0.5,), **parts: Any) -> Study:
    knobs = {"variant": parts.pop("variant", ["l2"]), "tau_units": parts.pop("tau_units", "absolute")}
    space = {"block": block, "lambda": lam, "tau": tau, **knobs}
    return Study.model_validate({"name": "s", "question": "q?", "space": space, **parts})


def labels(planned: Study) -> list[str]:
    return [cell.label for cell in cells(planned)]


def test_the_baseline_comes_first_the_grid_next_and_controls_last() -> None:
    planned = study(block=[1], tau=[0.5, 1], cells=[PAPER], controls=[DECAY])
    assert labels(planned) == [
        "baseline",
        "block 1, lambda 0.25, tau 0.5",
        "block 1, lambda 0.25, tau 1",
        "block 1, lambda 0.5, tau 0.5",
        "weight-decay",
    ]
    assert [cell.role for cell in cells(planned)] == ["baseline", "grid", "grid", "grid", "control"]


@pytest.mark.parametrize(
    ("knobs", "label"),
    [
        ({"block": ["all"]}, "all blocks, lambda 0.25, tau 0.5"),
        ({"block": [[0, 2]]}, "blocks 0+2, lambda 0.25, tau 0.5"),
        ({"block": [0.25], "variant": ["cosine"]}, "block 1, lambda 0.25, tau 0.5, cosine"),
        ({"block": [1], "tau": [1], "variant": ["covariance"]}, "block 1, lambda 0.25, covariance"),
        ({"block": [1], "tau_units": "relative"}, "block 1, lambda 0.25, tau 0.5 relative"),
        ({"block": [1], "lam": [0.12345678]}, "block 1, lambda 0.12345678, tau 0.5"),
        ({"block": ["all"], "recipe": {"model": {"depth": 1}}}, "block 0, lambda 0.25, tau 0.5"),
    ],
)
def test_a_label_says_what_differs_from_the_usual(knobs: dict[str, Any], label: str) -> None:
    assert labels(study(**knobs))[1] == label


def test_an_extra_cell_that_the_grid_has_is_marked_there() -> None:
    planned = cells(study(block=[0, 1], lam=[0.5], cells=[PAPER]))
    assert [cell.mark for cell in planned] == [None, None, "paper's default"]


def test_an_extra_cell_that_the_grid_lacks_is_added_with_its_mark() -> None:
    *_, last = cells(study(cells=[PAPER]))
    assert (last.label, last.mark) == ("block 1, lambda 0.5, tau 0.5", "paper's default")


def test_blocks_written_in_two_ways_are_one_cell() -> None:
    assert len(cells(study(block=[1, 0.25, [1], 0.3]))) == 2


def test_covariance_has_no_temperature_and_so_one_cell_for_all_of_them() -> None:
    planned = study(block=[0], tau=[0.25, 0.5, 2], variant=["l2", "covariance"])
    assert labels(planned).count("block 0, lambda 0.25, covariance") == 1
    assert len(cells(planned)) == 1 + 3 + 1


def test_a_control_is_the_baseline_with_another_recipe() -> None:
    *_, control = cells(study(controls=[{"name": "arm", "set": {"train.steps": 9, "train.lr": 0.001}}]))
    assert control.dispersion.lam == 0
    assert control.overrides == (("train.lr", 0.001), ("train.steps", 9))
    assert control.recipe(Recipe()).train.steps == 9


def test_the_screen_runs_all_cells_on_a_seed_before_the_next_seed() -> None:
    trials = screen_trials(study(controls=[DECAY], screen={"seeds": [5, 3]}))
    assert [trial.seed for trial in trials] == [5] * 4 + [3] * 4
    assert [trial.cell.role for trial in trials[:4]] == ["baseline", "grid", "grid", "control"]
    assert [trial.cell.key for trial in trials[4:]] == [trial.cell.key for trial in trials[:4]]


def test_confirming_runs_the_baseline_once_and_the_candidates_on_fresh_seeds() -> None:
    planned = study(confirm={"seeds": [7, 8]})
    trials = confirm_trials(planned, cells(planned)[:2], (7, 8))
    assert [(trial.stage, trial.cell.label, trial.seed) for trial in trials] == [
        ("confirm", label, seed) for seed in (7, 8) for label in ("baseline", "block 0, lambda 0.25, tau 0.5")
    ]


def test_confirming_runs_marked_cells_and_controls_too() -> None:
    planned = study(block=[0, 1], cells=[PAPER], controls=[DECAY], confirm={"top": 1})
    trials = confirm_trials(planned, cells(planned)[1:2], (100,))
    shown = [trial.cell.label for trial in trials]
    assert shown == ["baseline", "block 0, lambda 0.25, tau 0.5", "block 1, lambda 0.5, tau 0.5", "weight-decay"]


def test_seeds_that_arrive_in_looks_are_planned_to_the_last_look_and_never_those_of_the_screen() -> None:
    confirm = {"top": 1, "seeds": "auto", "limit": 4}
    free = fresh_seeds(study(block=[0], screen={"seeds": [0, 1]}, confirm=confirm))
    planned = study(block=[0], screen={"seeds": [0, free[1]]}, confirm=confirm)
    assert fresh_seeds(planned)[:3] == (free[0], *free[2:])
    assert planned.confirm is not None
    assert planned.confirm.schedule == (3, 4)
    assert size(planned).confirm_trials == 2 * 4


def test_the_confirm_stage_measures_at_the_end_alone() -> None:
    planned = study(screen={"rungs": [0.25, 0.5, 1]}, recipe={"train": {"steps": 100}})
    assert rung_steps(planned, planned.recipe, "confirm") == (100,)


def test_the_confirm_stage_measures_on_the_way_where_the_guidance_curve_is_wanted_there() -> None:
    evaluation = {"cfg_curve": [1, 2], "cfg_rungs": [0.25, 0.5, 1]}
    recipe = {"train": {"steps": 100}, "eval": evaluation}
    planned = study(screen={"rungs": [0.1, 1]}, recipe=recipe, confirm={"top": 1})
    assert rung_steps(planned, planned.recipe, "confirm") == (25, 50, 100)
    assert rung_steps(planned, planned.recipe) == (10, 100)
    # A plain scale and a guided one, which evaluates the network twice, at each of three rungs.
    assert curve_evaluations(planned.recipe) == 3 * (1 + 2)


@pytest.mark.parametrize(
    ("steps", "rungs", "at"),
    [
        (800, [0.5, 1], (400, 800)),
        (500, [0.25, 0.5, 1], (125, 250, 500)),
        (3, [0.5, 1], (2, 3)),
        (2, [0.9, 1], (1, 2)),
        (3, [0.01, 0.02, 1], (1, 2, 3)),
        (1, [0.5, 1], (1,)),
        (2, [0.1, 0.5, 0.9, 1], (1, 2)),
    ],
)
def test_rungs_are_steps_that_rise_to_the_last(steps: int, rungs: list[float], at: tuple[int, ...]) -> None:
    planned = study(screen={"rungs": rungs}, recipe={"train": {"steps": steps}})
    assert rung_steps(planned, planned.recipe) == at


def test_a_control_with_fewer_steps_has_rungs_of_its_own() -> None:
    planned = study(recipe={"train": {"steps": 800}})
    assert rung_steps(planned, planned.recipe.override({"train.steps": 100})) == (50, 100)


@pytest.mark.parametrize(
    ("cohort", "device", "lanes"),
    [("auto", "cpu", 1), ("auto", "cuda:0", GPU_LANES), (3, "cpu", 3), (3, "cuda", 3)],
)
def test_a_cohort_has_one_lane_on_a_cpu_unless_the_study_says_otherwise(cohort: Any, device: str, lanes: int) -> None:
    assert lane_count(study(resources={"cohort": cohort}), device) == lanes


def test_a_million_cells_are_counted_without_building_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.planning.cells.Cell", None)
    monkeypatch.setattr("sweeper.planning.cells.Dispersion", None)
    knob = {"low": 0.001, "high": 10, "count": 1000}
    planned = study(block=[0, 1, 2, 3], lam=knob, tau={**knob, "count": 250}, screen={"seeds": 1000})
    counted = size(planned)
    assert (counted.cells, counted.trials) == (1_000_001, 1_000_001_000)


def test_the_size_counts_the_confirm_stage_by_its_top_or_by_what_there_is() -> None:
    assert size(study(block=[0, 1, 2, 3], confirm={"top": 2, "seeds": 5})).confirm_trials == 15
    assert size(study(block=[0], confirm={"top": 9, "seeds": 5})).confirm_trials == 10
    assert size(study(block=[0, 1, 2, 3], cells=[PAPER], confirm={"top": 2, "seeds": 5})).confirm_trials == 20


SEARCH = {"sampler": "tpe", "seeds": 2, "trials": 21}
KNOB = {"low": 0.01, "high": 1, "count": 5}


def test_a_search_spends_on_configurations_what_fixed_cells_leave() -> None:
    planned = study(lam=KNOB, cells=[PAPER], controls=[DECAY], screen=SEARCH)
    assert searched_count(planned) == (21 - 3 * 2) // 2
    assert size(planned).trials == 20
    assert labels(planned) == ["baseline", "block 1, lambda 0.5, tau 0.5", "weight-decay"]


def test_a_search_of_lists_has_no_more_configurations_than_the_lists_give() -> None:
    assert searched_count(study(block=[0, 1], lam=[0.25, 0.5], cells=[PAPER], screen=SEARCH)) == 3
    assert searched_count(study(block=[0, 1], tau=[1], variant=["covariance"], screen=SEARCH)) == 2


def test_a_grid_searches_nothing() -> None:
    assert searched_count(study()) == 0


def test_the_estimate_is_trials_in_waves_of_the_slots() -> None:
    planned = study(block=[0, 1], screen={"seeds": 3}, recipe={"train": {"steps": 100}})
    assert estimate(planned, 0.1, 5.0, slots=2) == pytest.approx(5 * (100 * 0.1 + 2 * 5))
    assert estimate(planned, 0.1, 5.0, slots=9) == pytest.approx(100 * 0.1 + 2 * 5)


def test_rungs_that_draw_fewer_samples_are_cheaper_but_for_the_last_and_the_fresh_seeds() -> None:
    parts = {"screen": {"seeds": 1, "rungs": [0.5, 0.75, 1]}, "confirm": {"top": 1, "seeds": 2}}
    planned = study(block=[0], recipe={"train": {"steps": 100}, "eval": {"rung_samples": 2500}}, **parts)
    assert evaluations(planned, planned.recipe) == pytest.approx(1.5)
    assert evaluations(planned, planned.recipe, "confirm") == 1
    assert estimate(planned, 0, 1, slots=1) == pytest.approx(2 * 1.5 + 4)


def test_the_estimate_knows_that_a_short_control_is_cheap_and_that_confirming_costs() -> None:
    short = {"name": "short", "set": {"train.steps": 50}}
    planned = study(block=[0], controls=[short], screen={"seeds": 1, "rungs": [1]}, recipe={"train": {"steps": 100}})
    assert estimate(planned, 1, 0, slots=1) == pytest.approx(250)
    confirming = planned.model_copy(update={"confirm": study(confirm={"top": 1, "seeds": 2}).confirm})
    assert estimate(confirming, 1, 0, slots=1) == pytest.approx(250 + 600)
    assert estimate(confirming, 0, 1, slots=1, full_samples=50_000) == pytest.approx(3 + 6 * 5)


def test_the_baseline_is_the_same_cell_in_every_study() -> None:
    assert cells(study())[0] == cells(study(lam=[9], controls=[DECAY]))[0] == BASELINE
    assert BASELINE.key == "baseline"


def test_a_control_that_adds_a_loss_counts_by_what_its_step_takes() -> None:
    arms = [{"name": name, "set": {f"train.repa.{field}": 1}} for name, field in (("one", "block"), ("two", "lambda"))]
    planned = study(recipe={"train": {"steps": 100}}, controls=arms, screen={"seeds": 3}, confirm={"seeds": 2})
    plain = estimate(planned, 0.1, 1, slots=2)
    assert estimate(planned, 0.1, 1, slots=2, slower={"two": 1.5}) == pytest.approx(plain + 5 * 0.5 * 10 / 2)


def test_further_seeds_of_the_baseline_come_last_and_are_counted() -> None:
    planned = study(block=[0, 1], tau=[0.25, 0.5], controls=[DECAY], screen={"seeds": 2, "baseline_seeds": "auto"})
    shared, further = screen_trials(planned)[:12], screen_trials(planned)[12:]
    assert {trial.seed for trial in shared} == {0, 1}
    assert [(trial.cell.key, trial.seed) for trial in further] == [("baseline", 2), ("baseline", 3)]
    found = size(planned)
    assert (found.trials, found.seeds, found.baseline_seeds) == (14, 2, 4)
    assert "6 cells on 2 seeds, lambda 0 on 4, = 14 trials" in announce(planned)


def test_a_search_has_room_for_the_further_seeds_of_the_baseline() -> None:
    screen = {"seeds": 3, "sampler": "random", "trials": 40}
    wide = {"lam": {"low": 0.01, "high": 1, "count": 5}}
    before, after = (searched_count(study(**wide, screen={**screen, **more})) for more in ({}, {"baseline_seeds": 10}))
    assert (before, after) == (12, 10)
