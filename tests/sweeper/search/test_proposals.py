"""Random and tpe: which configurations a search proposes, within which budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyError
from sweeper.planning.size import searched_count, size
from sweeper.planning.trials import screen_trials
from sweeper.records import TrialSpec
from sweeper.search import Search
from sweeper.study import Study
from tests.sweeper.search.search_specs import BASELINE, GRID, cell, study, trials


def searched(sampler: str, budget: int, **space: object) -> Study:
    axes = {"block": [0, 1], "lambda": {"low": 0.001, "high": 1.0, "count": 5}, "tau": [0.5, 1.0], **space}
    return study(space=axes, screen={"seeds": 3, "sampler": sampler, "trials": budget}, controls=[])


def settings(search: Search) -> list[str]:
    """Labels of the configurations, in order of creation."""
    return list(dict.fromkeys(entry.spec.cell.label for entry in search._entries))


def run_out(search: Search, lanes: int = 1, fid: float = 20.0) -> list[TrialSpec]:
    """Run everything a search has to give, and return it in the order claimed."""
    claimed: list[TrialSpec] = []
    while batch := search.claim(lanes):
        claimed += batch
        for trial in batch:
            search.finish(trial.key, "complete", fid * (1 + trial.cell.dispersion.lam))
    return claimed


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_proposals_fill_the_budget_with_whole_configurations_first_seeds_first(url: str, sampler: str):
    search = Search(url, searched(sampler, 20), "screen", trials((BASELINE,)))
    assert not search.done()
    claimed = run_out(search, lanes=2)
    assert [trial.seed for trial in claimed] == [0] * 6 + [1] * 6 + [2] * 6
    assert len({trial.key for trial in claimed}) == 18
    assert len({trial.cell.key for trial in claimed}) == 6
    assert search.done()
    assert search.counts() == {"complete": 18}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_proposals_lie_in_the_space_and_are_drawn_alike_again(tmp_path: Path, sampler: str):
    runs = []
    for name in ("one", "two"):
        search = Search(f"sqlite:///{tmp_path}/{name}.db", searched(sampler, 45), "screen", trials((BASELINE,)))
        run_out(search)
        runs.append(settings(search))
        for entry in search._entries:
            setting = entry.spec.cell.dispersion
            if entry.spec.cell.role == "grid":
                assert 0.001 <= setting.lam <= 1
                assert setting.blocks in {(0,), (1,)}
                assert setting.tau in {0.5, 1.0}
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 15


def test_tpe_learns_where_random_does_not(tmp_path: Path):
    """With the objective rising in lambda, the later half of tpe's proposals lies lower than random's."""
    late = {}
    for sampler in ("random", "tpe"):
        given = searched(sampler, 90).model_copy(update={"name": sampler})
        search = Search(f"sqlite:///{tmp_path}/{sampler}.db", given, "screen", trials((BASELINE,)))
        run_out(search)
        lams = [e.spec.cell.dispersion.lam for e in search._entries if e.spec.seed == 0]
        late[sampler] = sorted(lams[-12:])[6]
    assert late["tpe"] < late["random"] / 2


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_space_of_lists_gives_each_of_its_configurations_once_and_then_no_more(url: str, sampler: str):
    lists = searched(sampler, 99, **{"lambda": [0.1, 0.2], "variant": ["l2", "covariance"]})
    search = Search(url, lists, "screen", trials((BASELINE,)))
    run_out(search, lanes=3)
    # covariance has no tau: 2 blocks x 2 lambdas x (2 taus + 1).
    assert len(settings(search)) == 1 + 12
    assert search.done()


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_covariance_alone_has_a_finite_space(url: str, sampler: str):
    lams = [round(0.01 * place, 2) for place in range(1, 11)]
    given = searched(sampler, 99, **{"lambda": lams, "tau": [1.0], "variant": ["covariance"]})
    search = Search(url, given, "screen", trials((BASELINE,)))
    run_out(search, lanes=3)
    assert searched_count(given) == 2 * 10
    assert len(settings(search)) == 1 + 2 * 10
    assert search.done()


def test_marked_cells_of_a_search_are_given_trials_and_not_proposals(url: str):
    outside = cell(3, 5.0, tau=2.0)
    marked = {"label": "odd", "block": 3, "lambda": 5.0, "tau": 2.0}
    given = searched("tpe", 18).model_copy(update={"cells": study(cells=[marked]).cells})
    search = Search(url, given, "screen", trials((BASELINE, outside)))
    run_out(search)
    assert search.counts() == {"complete": 18}
    assert settings(search)[:2] == ["baseline", outside.label]


def test_given_trials_beyond_the_budget_are_refused(url: str):
    with pytest.raises(StudyError, match=r"screen\.trials is 12") as caught:
        Search(url, searched("random", 12), "screen", trials((BASELINE, *GRID)))
    assert "at least 18" in caught.value.remedy


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_forms_of_the_loss_are_drawn_where_a_space_lists_several_and_stand_where_it_names_one(url: str, sampler: str):
    forms = {"features": ["raw", "layer_norm"], "negatives": ["batch", 8], "tau_units": "median", "lambda_end": [0.5]}
    search = Search(url, searched(sampler, 39, **forms), "screen", trials((BASELINE,)))
    while batch := search.claim(2):
        assert len({trial.cell.dispersion.bank for trial in batch}) == 1
        for trial in batch:
            search.finish(trial.key, "complete", 20.0)
    drawn = [entry.spec.cell.dispersion for entry in search._entries if entry.spec.cell.role == "grid"]
    assert {one.features for one in drawn} == {"raw", "layer_norm"}
    assert {one.negatives for one in drawn} == {"batch", 8}
    assert {(one.tau_units, one.lam_end) for one in drawn} == {("median", 0.5)}
    assert all("median" in entry.spec.cell.label for entry in search._entries if entry.spec.cell.role == "grid")


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_over_memory_banks_proposes_no_more_than_it_can_start(url: str, sampler: str):
    given = searched(sampler, 60, negatives=["batch", 8, 16, 32])
    search = Search(url, given, "screen", trials((BASELINE,)))
    running = 0
    while batch := search.claim(8):
        running += len(batch)
        waiting = sum(entry.spec.seed == 0 for entry in search._entries.waiting())
        # At most the one proposal whose bank parted it from its batch.
        assert waiting <= 1
        if running >= 19:
            break
    assert running >= 19


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_over_memory_banks_takes_at_most_as_many_cohorts_as_are_planned(url: str, sampler: str):
    given = searched(sampler, 60, negatives=["batch", 8, 16, 32])
    every = run_batches(Search(url, given, "screen", trials((BASELINE,))))
    assert sum(map(len, every)) == 60
    assert size(given, lanes=8).cohorts == 3 * ((20 - 4) // 8 + 4)


def run_batches(search: Search) -> list[list[TrialSpec]]:
    batches = []
    while batch := search.claim(8):
        batches.append(batch)
        for trial in batch:
            search.finish(trial.key, "complete", 20.0)
    return batches


def test_further_seeds_of_the_baseline_run_after_all_configurations_within_the_budget(url: str):
    planned = searched("random", 22)
    planned = planned.model_copy(update={"screen": planned.screen.model_copy(update={"baseline_seeds": 5})})
    search = Search(url, planned, "screen", screen_trials(planned))
    claimed = run_out(search, lanes=2)
    assert [trial.seed for trial in claimed] == [0] * 6 + [1] * 6 + [2] * 6 + [3, 4]
    assert [trial.cell for trial in claimed[-2:]] == [BASELINE, BASELINE]
    assert search.done()
