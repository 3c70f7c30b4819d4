"""Which settings go on to fresh seeds: by the surface and by their means."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from sweeper.guide.analysis.stage_table import evidence
from sweeper.guide.analysis.worth_confirming import candidates, worth_confirming
from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell
from sweeper.statistics.response_surface import Screen
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, simulate

STUDY = make_study(space={"block": [0, 1, 2, 3], "lambda": [0.01, 0.03, 0.1, 0.3], "tau": [0.25, 0.5, 1.0]})
CELLS = grid_cells(STUDY)
BEST = (1, 0.03)  # block and lambda of the valley's floor, at any tau


def valley(cell: Cell) -> float:
    """A smooth loss of up to 30 % away from one block and lambda."""
    away = (cell.dispersion.blocks[0] - BEST[0]) ** 2 / 9 + (math.log10(cell.dispersion.lam / BEST[1])) ** 2
    return -0.1 + 0.3 * away


def screened(noise: float, random: int, lucky: Cell | None = None) -> tuple[dict[str, list[float]], Screen]:
    """Return three seeds of every cell; the `lucky` one's gain is its own."""
    rng = np.random.default_rng(random)
    mean_C = np.array([valley(cell) - 0.6 * (cell is lucky) for cell in CELLS])
    y_CS = mean_C[:, None] + rng.normal(0, 0.05, 3) + rng.normal(0, noise, (len(CELLS), 3))
    return {cell.key: row.tolist() for cell, row in zip(CELLS, y_CS, strict=True)}, Screen(y_CS, rng.normal(0, 0.05, 3))


def chosen(noise: float, random: int, top: int, lucky: Cell | None = None) -> list[str]:
    logs, screen = screened(noise, random, lucky)
    return worth_confirming(logs, {cell.key: cell.dispersion for cell in CELLS}, screen, top)


def test_of_a_smooth_grid_the_surface_finds_better_settings_than_means_do():
    truth = {cell.key: valley(cell) for cell in CELLS}

    def regret(by_surface: bool) -> float:
        settings = {cell.key: cell.dispersion for cell in CELLS}
        found = []
        for random in range(20):
            logs, screen = screened(0.15, random)
            picked = worth_confirming(logs, settings, screen if by_surface else None, 3)
            found.append(min(truth[key] for key in picked))
        return float(np.mean(found)) + 0.1

    assert regret(by_surface=True) < 0.7 * regret(by_surface=False)


@pytest.mark.parametrize("top", [1, 2, 3, 5])
def test_one_good_setting_among_its_like_is_always_a_candidate(top: int):
    lucky = CELLS[-1]
    assert lucky.key in chosen(0.05, 0, max(top, 2), lucky)
    assert len(chosen(0.05, 0, top)) == top


def test_of_a_few_settings_or_without_a_surface_means_decide():
    logs, screen = screened(0.05, 0)
    few = {key: logs[key] for key in list(logs)[:3]}
    by_mean = sorted(few, key=lambda key: (float(np.mean(few[key])), key))
    assert worth_confirming(few, {}, None, 2) == by_mean[:2]
    assert worth_confirming(few, {}, screen, 3) == by_mean


def test_one_complete_on_fewer_seeds_comes_last():
    logs, screen = screened(0.02, 0)
    first = chosen(0.02, 0, 1)[0]
    logs[first] = logs[first][:2]
    settings = {cell.key: cell.dispersion for cell in CELLS}
    assert first not in worth_confirming(logs, settings, screen, 3)
    assert worth_confirming(logs, settings, screen, len(CELLS) - 1)[-1] != first


POINTS = {  # the objective, and how bad recall and the cost are
    "good fid": (0.0, 9.0, 1.0),
    "fid": (0.1, 8.0, 1.0),
    "both": (0.2, 5.0, 1.0),
    "good recall": (0.6, 1.0, 1.0),
    "dominated": (0.3, 6.0, 1.0),
    "equal": (0.2, 5.0, 1.0),
    "cheap": (0.9, 9.0, -3.0),
}


def traded(top: int, **changed: tuple[float, ...]) -> list[str]:
    """Choose among POINTS on two seeds, but for those that have changed."""
    points = POINTS | {key.replace("_", " "): values for key, values in changed.items()}
    logs = {key: [values[0] - 0.01, values[0] + 0.01] for key, values in points.items()}
    return worth_confirming(logs, {}, None, top, {key: values[1:] for key, values in points.items()})


def test_the_first_by_the_objective_and_the_leader_in_each_other_go_on() -> None:
    assert traded(3) == ["good fid", "good recall", "cheap"]
    assert traded(4) == ["good fid", "fid", "good recall", "cheap"]
    assert traded(1) == ["good fid"]


def test_what_nothing_beats_comes_before_what_something_beats() -> None:
    assert traded(6) == ["good fid", "fid", "both", "good recall", "cheap", "equal"]
    assert traded(6, equal=(0.4, 5.5, 1.0)) == ["good fid", "fid", "both", "good recall", "cheap", "dominated"]
    assert traded(6, equal=(0.4, 4.5, 1.0)) == ["good fid", "fid", "both", "good recall", "cheap", "equal"]


def test_one_that_lacks_a_second_objective_is_no_member_of_the_front_and_keeps_no_other_out() -> None:
    assert traded(3, good_recall=(0.6, math.nan, 1.0)) == ["good fid", "both", "cheap"]
    assert traded(6, equal=(0.4, math.nan, 1.0))[-1] == "dominated"
    assert traded(2, **{key.replace(" ", "_"): (values[0], math.nan, 1.0) for key, values in POINTS.items()}) == [
        "good fid",
        "fid",
    ]


def test_one_that_leads_in_several_takes_one_place() -> None:
    assert traded(3, cheap=(0.9, 0.5, -3.0)) == ["good fid", "fid", "cheap"]


def test_one_on_fewer_seeds_is_no_member_of_the_front() -> None:
    logs = {"a": [0.1, 0.2], "b": [0.2, 0.3], "c": [0.0]}
    assert worth_confirming(logs, {}, None, 3, {"a": (2.0,), "b": (1.0,), "c": (0.0,)}) == ["a", "b", "c"]


def test_a_leader_in_recall_takes_a_place_and_the_best_by_fid_is_rarely_lost_for_it() -> None:
    """Recall is best where FID is worst; docs/studies.md has the figures of 60 screens."""
    settings, best = {cell.key: cell.dispersion for cell in CELLS}, {cell.key for cell in CELLS if valley(cell) == -0.1}
    loss = {cell.key: -0.5 * valley(cell) for cell in CELLS}
    kept, recalls = 0, []
    for random in range(15):
        rng = np.random.default_rng(1000 + random)
        logs, screen = screened(0.1, random)
        second = {key: (level + rng.normal(0, 0.03),) for key, level in loss.items()}
        picked = worth_confirming(logs, settings, screen, 3, second)
        kept += bool(best & set(picked))
        recalls.append(min(loss[key] for key in picked) - min(loss.values()))
    assert kept >= 10
    assert np.mean(recalls) < 0.03


def test_with_one_objective_the_choice_is_what_it_was() -> None:
    logs, screen = screened(0.05, 0)
    settings = {cell.key: cell.dispersion for cell in CELLS}
    assert worth_confirming(logs, settings, screen, 3, {}) == worth_confirming(logs, settings, screen, 3)


def test_a_guide_of_a_screen_names_the_candidates_and_none_that_was_stopped():
    stopped = {cell.key for cell in CELLS if cell.dispersion.lam == 0.3}
    record = make_record(STUDY, simulate(STUDY, CELLS, valley, stopped=lambda cell: cell.key in stopped))
    guide = assemble_guide(record)
    known, cells = evidence(record), guide.main.cells
    keys = candidates(known, cells, 3)
    assert len(keys) == 3
    assert not stopped & set(keys)
    named = [rule.rule for rule in guide.rules if rule.rule.startswith("Worth confirming")]
    labels = {one.key: one.cell.label for one in cells}
    assert named == [f"Worth confirming: {labels[key]}" for key in keys]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_no_setting_is_called_worth_confirming_that_the_screen_saw_worse(seeds: tuple[int, ...]):
    study = make_study(screen={"seeds": len(seeds)})
    record = make_record(study, simulate(study, grid_cells(study), lambda _: 0.5, seeds=seeds))
    rules = {rule.rule: rule.evidence for rule in assemble_guide(record).rules}
    assert not any(rule.startswith("Worth confirming") for rule in rules)
    against = rules["Confirm no setting of this grid in the hope of a gain; try weaker settings first"]
    assert against.startswith("the most hopeful of the screen is block ")
    assert re.search(r": \+[4-9]\d %", against)
