"""Confirming in looks: who takes further fresh seeds, whatever order trials end in and however often it is replayed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.commands.status import count
from sweeper.coordinator.confirm_looks import ConfirmLooks, Outcomes
from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.finalists import Finalists, chosen_before
from sweeper.ledger import read_study
from sweeper.planning.cells import cells
from sweeper.records import Cell, Rung
from sweeper.statistics.screen_noise import BadRuns, Prior
from sweeper.study import Study
from sweeper.worker.messages import LaneReport
from sweeper.workspace import Workspace
from tests.sweeper.coordinator.coordinators import FACTS, begun, open_coordinator, ready, study

__all__ = ["ready"]  # a fixture, used by being here

CONTROL = {"name": "decay", "set": {"train.weight_decay": 0.5}}
SEEDS = tuple(range(100, 120))


def looking(**changes: object) -> Study:
    confirm = {"top": 2, "seeds": "auto", "looks": [3, 5, 8], "limit": 8}
    return study(space={"block": [0, 1], "lambda": [0.1], "tau": [0.5]}, controls=[CONTROL], confirm=confirm, **changes)


def chosen(of: Study) -> Finalists:
    settings = tuple(cell for cell in cells(of) if cell.role == "grid")
    directions = {cell.key: "lower" for cell in cells(of)}
    return Finalists.model_validate(
        {"cells": settings, "seeds": SEEDS[:8], "looks": [3, 5, 8], "directions": directions}
    )


def wobble(seed: int) -> float:
    return 0.01 * math.sin(seed)


def _fid(cell: Cell, place: int) -> float:
    """The FID on the fresh seed at `place`: one setting gains a lot, the other too little for eight seeds."""
    if cell.role != "grid":
        return 10.0
    gain = math.log(2) if cell.dispersion.blocks == (0,) else 0.1 + 0.11 * (-1) ** place
    return 10.0 * math.exp(wobble(place) - gain)


def replayed(
    of: Study, fid: Callable[[Cell, int], float | None], begun_with: Callable[[Study], Finalists] = chosen
) -> tuple[dict[str, int], Outcomes]:
    """Run every trial that is due until none is; return how many seeds each arm had."""
    looks, outcomes = ConfirmLooks(of, begun_with(of)), dict[str, float | None]()
    while todo := [trial for trial in looks.due(outcomes) if trial.key not in outcomes]:
        for trial in reversed(todo):
            outcomes[trial.key] = fid(trial.cell, trial.seed)
    had: dict[str, int] = {}
    for trial in looks.due(outcomes):
        had[trial.cell.label] = had.get(trial.cell.label, 0) + 1
    return had, outcomes


def test_a_clear_gain_ends_at_the_first_look_and_an_open_arm_takes_the_baseline_and_controls_on() -> None:
    had, _ = replayed(looking(), lambda cell, seed: _fid(cell, SEEDS.index(seed)))
    assert had == {
        "baseline": 8, "block 0, lambda 0.1, tau 0.5": 3, "block 1, lambda 0.1, tau 0.5": 8, "decay": 8,
    }  # fmt: skip


def test_what_surely_hurts_though_the_screen_saw_a_gain_ends_everything_early() -> None:
    had, _ = replayed(looking(), lambda cell, seed: 10.0 + 5.0 * (cell.role == "grid") + wobble(seed))
    assert set(had.values()) == {3}


def modest(place: int) -> float:
    """A gain that three seeds cannot show at .3 %, and five can."""
    return 0.1 + 0.02 * (-1) ** place


def test_a_control_whose_gain_is_not_shown_yet_goes_on_beside_the_baseline_when_every_setting_has_ended() -> None:
    def fid(cell: Cell, seed: int) -> float:
        place = SEEDS.index(seed)
        if cell.role == "grid":
            return 15.0 + wobble(seed)
        return 10.0 * math.exp(wobble(place) - modest(place) * (cell.role == "control"))

    had, _ = replayed(looking(), fid)
    assert had == {
        "baseline": 5, "block 0, lambda 0.1, tau 0.5": 3, "block 1, lambda 0.1, tau 0.5": 3, "decay": 5,
    }  # fmt: skip


def test_a_study_whose_confirm_stage_began_before_controls_had_looks_ends_with_its_settings() -> None:
    def fid(cell: Cell, seed: int) -> float:
        return 15.0 + wobble(seed) if cell.role == "grid" else 10.0 - 0.5 * (cell.role == "control") + wobble(seed)

    def before(of: Study) -> Finalists:
        grid = {cell.key for cell in cells(of) if cell.role == "grid"}
        given = chosen(of)
        kept = {key: side for key, side in given.directions.items() if key in grid}
        return given.model_copy(update={"directions": kept})

    had, _ = replayed(looking(), fid, before)
    assert set(had.values()) == {3}


def test_a_setting_that_helps_goes_on_beside_a_control_that_may_do_as_well() -> None:
    def fid(cell: Cell, seed: int) -> float:
        place = SEEDS.index(seed)
        if cell.role == "control":
            return 5.0 * math.exp(wobble(place) + modest(place))
        return _fid(cell, place) if not cell.label.startswith("block 1") else 15.0 + wobble(seed)

    had, _ = replayed(looking(), fid)
    assert had == {
        "baseline": 5, "block 0, lambda 0.1, tau 0.5": 5, "block 1, lambda 0.1, tau 0.5": 3, "decay": 5,
    }  # fmt: skip


def test_a_setting_that_diverges_on_a_fresh_seed_takes_no_more_of_them() -> None:
    def fid(cell: Cell, seed: int) -> float | None:
        if cell.label.startswith("block 0") and seed == 101:
            return None
        return _fid(cell, SEEDS.index(seed))

    had, _ = replayed(looking(), fid)
    assert had["block 0, lambda 0.1, tau 0.5"] == 3


def test_where_the_baseline_has_no_figure_nothing_can_be_confirmed_and_nothing_goes_on() -> None:
    had, _ = replayed(looking(), lambda cell, _: None if cell.role == "baseline" else 5.0)
    assert set(had.values()) == {3}


def test_a_seed_on_which_only_the_baseline_diverged_is_left_out_and_the_rest_decide() -> None:
    def fid(cell: Cell, seed: int) -> float | None:
        return None if cell.role == "baseline" and seed == 103 else _fid(cell, SEEDS.index(seed))

    had, _ = replayed(looking(), fid)
    assert had["block 0, lambda 0.1, tau 0.5"] == 3
    assert had["block 1, lambda 0.1, tau 0.5"] == had["baseline"] == 8


def test_what_the_screen_says_about_noise_is_kept_with_the_finalists() -> None:
    prior = Prior(0.1, 60, 3, 1.5, BadRuns("higher", 12, 90, (0.1, 0.15), 12.0))
    kept = chosen(looking()).model_copy(update={"prior": prior})
    assert Finalists.model_validate_json(kept.model_dump_json()).prior == prior


def test_a_choice_made_before_there_were_looks_is_judged_once_on_all_of_its_seeds() -> None:
    of = looking()
    old = chosen(of).model_copy(update={"looks": ()})
    assert {trial.seed for trial in ConfirmLooks(of, old).due({})} == set(SEEDS[:8])


def _train(coordinator: Coordinator, most: int | None = None) -> int:
    done = 0
    while (most is None or done < most) and (cohort := coordinator.claim()) is not None:
        assignment = begun(coordinator, cohort)
        specs = {trial.key: trial for trial in assignment.trials}
        chosen = coordinator._stages.chosen
        places = {seed: place for place, seed in enumerate(chosen.seeds)} if chosen else {}
        coordinator.started(cohort, assignment.attempt, FACTS)
        for step in assignment.rungs:
            reports = [
                LaneReport(
                    key=key,
                    diverged=False,
                    rung=Rung(step=step, metrics={"fid_40": _fid(spec.cell, places.get(spec.seed, 0))}),
                )
                for key, spec in sorted(specs.items())
                if key in assignment.living
            ]
            coordinator.report(cohort, assignment.attempt, reports, FACTS, last=step == assignment.rungs[-1])
        done += 1
    return done


@pytest.mark.parametrize("most", [None, 1, 3])
def test_a_study_in_looks_ends_the_same_however_often_it_is_cut_and_both_stores_know_its_schedule(
    tmp_path: Path, most: int | None
) -> None:
    of = looking()
    for _ in range(60):
        coordinator = open_coordinator(tmp_path, of, ["screen", "confirm"])
        ran = _train(coordinator, most)
        over = coordinator.done()
        coordinator.close(interrupted=not over, timeout=60)
        if over or not ran:
            break
    assert over
    record = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny")
    fresh = [trial.spec for trial in record.trials if trial.spec.stage == "confirm"]
    had = {label: sum(spec.cell.label == label for spec in fresh) for label in {spec.cell.label for spec in fresh}}
    assert had["block 0, lambda 0.1, tau 0.5"] == 3
    assert had["block 1, lambda 0.1, tau 0.5"] == had["baseline"] == had["decay"] == 8
    assert (record.looks, len(record.fresh_seeds)) == ((3, 5, 8), 8)
    kept = chosen_before(f"sqlite:///{tmp_path}/optuna.db", "tiny")
    assert kept is not None
    assert (kept.seeds, kept.looks) == (record.fresh_seeds, record.looks)


def test_a_study_that_was_cut_between_two_looks_is_not_done(tmp_path: Path) -> None:
    of = looking(resources={"cohort": 40})
    workspace = Workspace(tmp_path)
    coordinator = open_coordinator(tmp_path, of, ["screen", "confirm"])
    while coordinator.progress().stage == "screen" or not coordinator._search.done():
        assert _train(coordinator, 1)
    coordinator.close(interrupted=True, timeout=60)
    counted = count(of, workspace, ["screen", "confirm"])
    assert not counted.done
    assert counted.states["waiting"] == 2 * 3  # two more seeds of the baseline, the control, what is open
