from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import pytest

from sweeper.errors import ConflictError, SetupError
from sweeper.planning.size import size
from sweeper.planning.trials import screen_trials
from sweeper.records import Cell, TrialSpec
from sweeper.search import Search, state_counts
from sweeper.search.store import Store
from tests.sweeper.search.search_specs import BASELINE, CONTROL, GRID, cell, study, trials

STEPS = (50, 100)


@pytest.fixture
def opened(url: str) -> Iterator[Search]:
    search = Search(url, study(), "screen", trials())
    yield search
    search.close()


def measure(search: Search, spec: TrialSpec, *values: float) -> None:
    """Report values at the rungs, first rung first."""
    for rung, value in enumerate(values):
        search.report(spec.key, STEPS[rung], rung, value)


def complete(search: Search, spec: TrialSpec, value: float) -> None:
    measure(search, spec, value, value)
    search.finish(spec.key, "complete", value)


def run_seed(search: Search, fids: dict[Cell, float], seed: int) -> None:
    """Train every cell to its end on one seed, those before it being done."""
    while any(state == "waiting" and key.endswith(f".{seed}") for key, state in search.states().items()):
        (trial,) = search.claim(1)
        complete(search, trial, fids[trial.cell])


def test_a_grid_hands_out_every_trial_once_in_the_given_order(opened: Search):
    given = [trial.key for trial in trials() if trial.cell != CONTROL]
    claimed: list[str] = []
    while batch := opened.claim(1):
        claimed += [trial.key for trial in batch]
    assert [key for key in claimed if ".baseline." in key or key in given] == given
    assert sorted(claimed) == sorted(trial.key for trial in trials())
    assert opened.counts() == {"running": 18}


BANKS = {"block": [0, 1, "all"], "lambda": [0.01], "variant": ["l2", "covariance"], "negatives": ["batch", 8, 64]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"space": BANKS, "cells": [{"label": "c", "block": 0, "lambda": 1, "negatives": 9}]},
        {"screen": {"seeds": 3, "baseline_seeds": "auto"}},
    ],
)
@pytest.mark.parametrize("lanes", [1, 2, 4, 9])
def test_a_grid_is_handed_out_in_as_many_cohorts_as_the_plan_says(url: str, lanes: int, changes: dict[str, object]):
    planned = study(resources={"cohort": lanes}, **changes)
    search = Search(url, planned, "screen", screen_trials(planned))
    claims = 0
    while batch := search.claim(lanes):
        claims += 1
        assert len({trial.cell.dispersion.bank for trial in batch}) == 1
    search.close()
    assert claims == size(planned).cohorts


def test_a_claim_is_of_one_recipe_and_one_seed(opened: Search):
    sizes = []
    while batch := opened.claim(4):
        sizes.append(len(batch))
        assert len({trial.seed for trial in batch}) == 1
        assert len({trial.cell.overrides for trial in batch}) == 1
    assert sizes == [4, 1, 1] * 3


def test_reopening_duplicates_nothing_and_appends_what_is_new(url: str, opened: Search):
    complete(opened, opened.claim(1)[0], 20.0)
    reopened = Search(url, study(), "screen", [*trials(), *trials((cell(0, 0.1),), seeds=(9,))])
    assert reopened.counts() == {"complete": 1, "waiting": 18}
    assert list(reopened.states())[:-1] == [trial.key for trial in trials()]
    assert list(reopened.states())[-1].endswith(".9")


def test_a_setting_outside_the_choices_a_search_began_with_is_appended_to_them(url: str):
    Search(url, study(), "screen", trials()).close()
    extended = Search(url, study(), "screen", [*trials(), *trials((cell(0, 0.7),))])
    assert sum(extended.counts().values()) == len(trials()) + len(trials((cell(0, 0.7),)))
    seen = optuna.load_study(study_name="tiny.screen", storage=url).trials
    before = [trial.params["lambda"] for trial in seen[: len(trials())]]
    assert before == [one.cell.dispersion.lam for one in trials()]
    assert {len(trial.distributions["lambda"].choices) for trial in seen} == {len({*before}) + 1}


def test_a_search_that_began_with_another_kind_of_axis_is_a_conflict(url: str, opened: Search):
    lam = {"low": 0.001, "high": 0.7, "count": 3}
    drawn = study(space={"block": [0], "lambda": lam}, screen={"sampler": "random", "trials": 30})
    with pytest.raises(ConflictError, match="does not fit the search that tiny began"):
        Search(url, drawn, "screen", trials((cell(0, 0.7),)))
    assert sum(opened.counts().values()) == len(trials())


def test_a_trial_left_running_is_told_after_opening_and_keeps_its_values(url: str, opened: Search):
    first = opened.claim(1)[0]
    measure(opened, first, 40.0)
    reopened = Search(url, study(), "screen", trials())
    assert reopened.running() == (first,)
    assert first not in reopened.claim(1)
    measure(reopened, first, 99.0)
    reopened.finish(first.key, "pruned")
    assert Search(url, study(), "screen", trials())._entries[first.key].values == {50: 40.0}


def test_the_same_end_twice_is_a_no_op_and_another_end_is_refused(opened: Search):
    trial = opened.claim(1)[0]
    opened.finish(trial.key, "complete", 20.0)
    opened.finish(trial.key, "complete", 20.0)
    assert opened.counts()["complete"] == 1
    with pytest.raises(ValueError, match="ended complete and cannot end pruned"):
        opened.finish(trial.key, "pruned")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_trial_is_not_complete_without_a_finite_value(opened: Search, value: float | None):
    trial = opened.claim(1)[0]
    with pytest.raises(ValueError, match="without a finite value"):
        opened.finish(trial.key, "complete", value)
    assert opened.states()[trial.key] == "running"


def test_every_end_survives_reopening(url: str, opened: Search):
    ends = ("complete", "pruned", "diverged", "failed")
    for end in ends:
        trial = opened.claim(1)[0]
        measure(opened, trial, 30.0)
        opened.finish(trial.key, end, 20.0 if end == "complete" else None)
    states = Search(url, study(screen={"pruner": "none"}), "screen", trials()).states()
    assert tuple(states.values())[:4] == ends
    assert set(tuple(states.values())[4:]) == {"waiting"}


FAR = {BASELINE: 20.0, GRID[0]: 20.5, GRID[1]: 190.0, GRID[2]: 21.0, GRID[3]: 20.0, CONTROL: 20.2}


def test_the_race_drops_the_waiting_seeds_of_a_eliminated_configuration_and_tells_once(url: str, opened: Search):
    run_seed(opened, FAR, seed=0)
    assert opened.judge([]) == frozenset()
    dropped = opened.take_dropped()
    assert [(trial.cell, trial.seed) for trial in dropped] == [(GRID[1], 1), (GRID[1], 2)]
    assert opened.take_dropped() == ()
    assert {opened.states()[trial.key] for trial in dropped} == {"pruned"}
    assert Search(url, study(), "screen", trials()).take_dropped() == dropped


def test_a_drop_that_a_crash_cut_short_is_completed_by_opening(
    url: str, opened: Search, monkeypatch: pytest.MonkeyPatch
):
    run_seed(opened, FAR, seed=0)
    finish, writes = Store.finish, []

    def once(*args: object) -> None:
        writes.append(args)
        if len(writes) > 1:
            raise KeyboardInterrupt
        finish(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "finish", once)
    with pytest.raises(KeyboardInterrupt):
        opened.judge([])
    monkeypatch.undo()
    assert opened.counts()["pruned"] == 1
    reopened = Search(url, study(), "screen", trials())
    assert reopened.counts() == {"complete": 6, "pruned": 2, "waiting": 10}
    assert [(trial.cell, trial.seed) for trial in reopened.take_dropped()] == [(GRID[1], 1), (GRID[1], 2)]


def test_a_running_trial_of_a_eliminated_configuration_stops_unless_it_reached_the_last_rung(opened: Search):
    run_seed(opened, FAR, seed=0)
    second = {trial.cell: trial for trial in opened.claim(5)}[GRID[1]]
    measure(opened, second, 190.0)
    assert opened.judge([second.key]) == {second.key}
    measure(opened, second, 190.0, 190.0)
    assert opened.judge([second.key]) == frozenset()


def test_a_eliminated_configuration_stays_out_after_reopening(url: str, opened: Search):
    run_seed(opened, FAR, seed=0)
    running = opened.claim(5)
    opened.judge([])
    reopened = Search(url, study(), "screen", trials())
    lucky = next(trial for trial in running if trial.cell == GRID[1])
    measure(reopened, lucky, 5.0)
    assert reopened.judge([lucky.key]) == {lucky.key}


@pytest.mark.parametrize("pruner", ["race", "none", "median", "halving", "hyperband", "wilcoxon"])
def test_no_pruner_stops_the_baseline_or_a_trial_at_its_last_rung(url: str, pruner: str):
    search = Search(url, study(screen={"seeds": 4, "pruner": pruner}), "screen", trials(seeds=range(4)))
    while batch := search.claim(8):
        for trial in batch:
            measure(search, trial, 500.0 if trial.cell == BASELINE else 20.0)
        stopped = search.judge([trial.key for trial in batch])
        assert not any(".baseline." in key for key in stopped)
        for trial in batch:
            measure(search, trial, 500.0, 500.0)
        assert search.judge([trial.key for trial in batch]) == frozenset()
        for trial in batch:
            search.finish(trial.key, "complete", 500.0)
    assert search.counts() == {"complete": 24}


def test_the_confirm_stage_prunes_nothing(url: str):
    given = [trial.model_copy(update={"stage": "confirm"}) for trial in trials(seeds=(100, 101, 102, 103))]
    search = Search(url, study(confirm={"top": 2}), "confirm", given)
    while batch := search.claim(1):
        measure(search, batch[0], FAR[batch[0].cell])
        assert search.judge([batch[0].key]) == frozenset()
        search.finish(batch[0].key, "complete", FAR[batch[0].cell])
    assert search.counts() == {"complete": 24}


def test_settings_may_be_confirmed_that_are_complete_on_a_seed_but_no_arms_and_none_eliminated(url: str):
    search = Search(url, study(confirm={"top": 3}), "screen", trials())
    fids = {BASELINE: 10.0, GRID[0]: 22.0, GRID[1]: 190.0, GRID[2]: 21.0, GRID[3]: 24.0, CONTROL: 23.0}
    run_seed(search, fids, seed=0)
    search.judge([])
    assert GRID[1] not in search.eligible()
    for seed in (1, 2):
        run_seed(search, fids, seed)
    assert search.eligible() == (GRID[0], GRID[2], GRID[3])


def test_a_setting_whose_trials_all_failed_cannot_be_confirmed(url: str):
    search = Search(url, study(confirm={"top": 2}), "screen", trials((GRID[0], GRID[2]), seeds=(0, 1)))
    for trial, fid in zip(search.claim(2) + search.claim(2), (20.0, None, 15.0, None), strict=True):
        search.finish(trial.key, "complete" if fid else "failed", fid)
    assert search.eligible() == (GRID[0],)


def test_rungs_are_kept_of_trials_that_were_stopped_too(url: str):
    search = Search(url, study(confirm={"top": 3}), "screen", trials())
    fids = {BASELINE: 10.0, GRID[0]: 22.0, GRID[1]: 190.0, GRID[2]: 21.0, GRID[3]: 24.0, CONTROL: 23.0}
    run_seed(search, fids, seed=0)
    found = search.rungs()
    assert found.keys() == search.states().keys()
    assert all(found[trial.key] for trial in trials(seeds=(0,)))
    assert not any(found[trial.key] for trial in trials(seeds=(1, 2)))


def test_best_is_the_complete_trial_with_the_lowest_objective(opened: Search):
    assert opened.best() is None
    for trial, fid in zip(opened.claim(3), (30.0, 20.0, 25.0), strict=True):
        complete(opened, trial, fid)
    found = opened.best()
    assert found is not None
    assert found == (trials()[1], 20.0)


def test_a_store_that_cannot_be_opened_is_a_fault_of_the_environment(tmp_path: Path):
    with pytest.raises(SetupError, match="cannot be made: there is no such folder"):
        Search(f"sqlite:///{tmp_path}/missing/search.db", study(), "screen", trials())
    with pytest.raises(SetupError, match=r"postgresql.*user:\*\*\*@"):
        Search("postgresql+psycopg2://user:secret@127.0.0.1:1/none", study(), "screen", trials())


def test_counting_creates_nothing(tmp_path: Path):
    assert state_counts(f"sqlite:///{tmp_path}/none.db", "tiny") == {}
    assert list(tmp_path.iterdir()) == []


def test_importing_the_command_line_parts_leaves_optuna_out():
    parts: Sequence[str] = ("sweeper.study.study", "sweeper.planning.trials", "sweeper.records")
    script = f"import sys, {', '.join(parts)}; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
