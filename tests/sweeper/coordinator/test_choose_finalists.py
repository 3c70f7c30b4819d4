"""The search sends to fresh seeds what a guide of the same screen calls worth confirming."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.coordinator.choose_finalists import choose_finalists
from sweeper.guide.analysis.stage_table import evidence
from sweeper.guide.analysis.worth_confirming import candidates
from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell
from sweeper.search import Search
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, simulate

STUDY = make_study(
    space={"block": [0, 1, 2, 3], "lambda": [0.01, 0.1], "tau": [0.25, 0.5, 1.0]},
    screen={"seeds": 3, "pruner": "none"},
)


def effect(cell: Cell) -> float:
    return 0.1 * cell.dispersion.blocks[0] + 0.2 * math.log10(cell.dispersion.lam)


def recalled(cell: Cell, seed: int) -> float:
    """A recall that is best where FID is worst, and differs a little from seed to seed."""
    return 0.3 + 0.1 * cell.dispersion.blocks[0] + 0.001 * seed if cell.role == "grid" else 0.3


def test_search_and_guide_choose_the_same_of_a_front_and_a_setting_good_in_recall_is_confirmed(tmp_path: Path) -> None:
    study = make_study(space=STUDY.space, screen=STUDY.screen, second_objectives=["recall", "cost"])
    trials = []
    for one in simulate(study, grid_cells(study), effect, noise=0.02):
        last = one.rungs[-1]
        known = last.metrics | {"recall_10k": recalled(one.spec.cell, one.spec.seed)}
        rungs = (*one.rungs[:-1], last.model_copy(update={"metrics": known}))
        trials.append(one.model_copy(update={"rungs": rungs}))
    specs, url = [one.spec for one in trials], f"sqlite:///{tmp_path}/optuna.db"
    search = Search(url, study, "screen", specs)
    known_trials = {one.spec.key: one for one in trials}
    while batch := search.claim(4):
        for spec in batch:
            rungs = known_trials[spec.key].rungs
            for place, rung in enumerate(rungs):
                value, beside = study.judged(rung.metrics, last=rung is rungs[-1])
                search.report(spec.key, rung.step, place, value, beside)
            search.finish(spec.key, "complete", value)
    search.close()
    again = Search(url, study, "screen", specs)  # as another machine continues it
    finalists = choose_finalists(study, again, (100, 101, 102, 103, 104))
    again.close()

    record = make_record(study, trials)
    named = candidates(evidence(record), assemble_guide(record).main.cells, 3)
    assert tuple(cell.key for cell in finalists.cells) == named
    blocks = {cell.dispersion.blocks[0] for cell in finalists.cells}
    assert {0, 3} <= blocks
    alone = candidates(evidence(make_record(STUDY, trials)), assemble_guide(record).main.cells, 3)
    assert {cell.dispersion.blocks[0] for cell in grid_cells(study) if cell.key in alone} == {0}


@pytest.mark.parametrize("random", range(3))
def test_search_and_guide_choose_the_same(tmp_path: Path, random: int) -> None:
    cells = grid_cells(STUDY)
    stopped = {cell.key for cell in cells if cell.dispersion.blocks == (3,)}
    trials = simulate(STUDY, cells, effect, noise=0.15, stopped=lambda cell: cell.key in stopped, random=random)
    search = Search(f"sqlite:///{tmp_path}/optuna.db", STUDY, "screen", [one.spec for one in trials])
    known = {one.spec.key: one for one in trials}
    while batch := search.claim(4):
        for spec in reversed(batch):
            one = known[spec.key]
            for place, rung in enumerate(one.rungs):
                search.report(spec.key, rung.step, place, rung.metrics["fid_10k"])
            search.finish(spec.key, one.state, one.rungs[-1].metrics["fid_10k"] if one.state == "complete" else None)
    finalists = choose_finalists(STUDY, search, (100, 101, 102, 103, 104))
    search.close()

    record = make_record(STUDY, trials)
    assert STUDY.confirm
    named = candidates(evidence(record), assemble_guide(record).main.cells, STUDY.confirm.top)
    assert tuple(cell.key for cell in finalists.cells) == named
    assert len(named) == 3
    assert not stopped & set(named)
    assert finalists.directions.keys() == set(named)
    assert finalists.prior
