"""What the search spares from pruning to check the pruner, and how many fresh seeds it takes."""

from __future__ import annotations

import pytest

from sweeper.search import Search
from sweeper.search.pruning import is_audited
from sweeper.study.pruners import PRUNERS
from tests.sweeper.search.search_specs import BASELINE, CONTROL, GRID, cell, study, trials
from tests.sweeper.search.test_search import STEPS, measure, run_seed


def test_an_audited_configuration_is_never_stopped_but_marked_and_never_a_candidate(url: str):
    audited = study(screen={"seeds": 3, "audit_fraction": 1}, confirm={"top": 9})
    search = Search(url, audited, "screen", trials())
    fids = {BASELINE: 10.0, GRID[0]: 22.0, GRID[1]: 90_000.0, GRID[2]: 21.0, GRID[3]: 24.0, CONTROL: 23.0}
    run_seed(search, fids, seed=0)
    search.judge([])
    run_seed(search, fids, seed=1)
    search.judge([])
    search.close()
    again = Search(url, audited, "screen", trials())
    run_seed(again, fids, seed=2)
    assert again.counts() == {"complete": 18}
    assert again.audited(f"screen.{GRID[1].key}.2")
    assert not again.audited(f"screen.{GRID[0].key}.2")
    assert again.eligible() == (GRID[0], GRID[2], GRID[3])
    again.close()


def test_the_share_of_audited_configurations_is_as_wished_and_the_same_at_every_start():
    tenth = study(screen={"seeds": 3, "audit_fraction": 0.1})
    cells = [cell(0, 0.001 * (1 + i)) for i in range(1000)]
    chosen = [one.key for one in cells if is_audited(tenth, one)]
    assert 60 < len(chosen) < 140
    assert chosen == [one.key for one in cells if is_audited(tenth, one)]
    assert not any(is_audited(study(screen={"seeds": 3, "audit_fraction": 0}), one) for one in cells)


@pytest.mark.parametrize("pruner", [name for name, facts in PRUNERS.items() if facts.stops != "nothing"])
def test_an_audited_trial_left_running_goes_on_after_reopening(url: str, pruner: str):
    audited = study(screen={"seeds": 3, "audit_fraction": 1, "pruner": pruner})
    search = Search(url, audited, "screen", trials())
    for _ in range(6):
        search.claim(1)
    running = search.running()
    for place, spec in enumerate(running):
        measure(search, spec, 10.0 ** (place + 1))
    search.judge([spec.key for spec in running])
    search.close()
    again = Search(url, audited, "screen", trials())
    for spec in again.running():
        again.report(spec.key, STEPS[1], 1, 10.0)
        again.judge([spec.key])
        again.finish(spec.key, "complete", 10.0)
    assert again.counts()["complete"] == 6
    again.close()


def test_controls_neither_race_nor_are_raced(url: str):
    search = Search(url, study(screen={"seeds": 3, "audit_fraction": 0}), "screen", trials())
    fids = {BASELINE: 10.0, GRID[0]: 1e6, GRID[1]: 1e6, GRID[2]: 1e6, GRID[3]: 1e6, CONTROL: 10.1}
    for seed in (0, 1, 2):
        run_seed(search, fids, seed)
        search.judge([])
    assert search.counts() == {"complete": 18}
    search.close()
