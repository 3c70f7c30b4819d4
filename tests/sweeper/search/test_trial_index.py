from __future__ import annotations

from collections import Counter

import pytest

from sweeper.records import TrialState
from sweeper.search import Search
from sweeper.search.store import Entry
from sweeper.search.trial_index import TrialIndex
from tests.sweeper.search.search_specs import BASELINE, GRID, cell, study, trials


def roster(by_seed: bool = False) -> tuple[TrialIndex, list[Entry]]:
    """Two seeds, created cell by cell, so that seeds alternate."""
    specs = [spec for one in (BASELINE, *GRID) for spec in trials([one], (0, 1))]
    entries = [Entry(spec, trial_id=number + 1, number=number) for number, spec in enumerate(specs)]
    made = TrialIndex((lambda entry: entry.spec.seed) if by_seed else lambda _: 0)
    for entry in entries:
        made.add(entry)
    return made, entries


def move(made: TrialIndex, entry: Entry, state: TrialState, value: float | None = None) -> None:
    before, entry.state, entry.value = entry.state, state, value
    made.moved(entry, before)


def test_the_line_is_in_order_of_creation_or_seed_after_seed():
    for by_seed in (False, True):
        made, entries = roster(by_seed)
        order = []
        while (first := made.first_waiting()) is not None:
            order.append(first)
            move(made, first, "running")
        assert order == sorted(entries, key=lambda entry: (by_seed * entry.spec.seed, entry.number))


def test_states_are_counted_and_found_as_a_look_at_every_trial_would():
    made, entries = roster()
    moves: list[TrialState] = ["complete", "pruned", "diverged", "failed", "running"]
    for entry, state in zip(entries, moves, strict=False):
        move(made, entry, "running")
        if state != "running":
            move(made, entry, state, 5.0 if state == "complete" else None)
        assert made.counts() == dict(Counter(each.state for each in entries))
    assert made.running() == (entries[4],)
    assert list(made.waiting_on(1)) == [entry for entry in entries if entry.state == "waiting" and entry.spec.seed == 1]
    cells = [GRID[3].key, GRID[2].key]
    assert made.waiting_of(cells) == [entry for entry in entries if entry.spec.cell.key in cells]


def test_the_best_is_the_lowest_and_of_equals_the_one_created_first():
    made, entries = roster()
    for number, value in ((3, 5.0), (1, 5.0), (2, 9.0)):
        move(made, entries[number], "running")
        move(made, entries[number], "complete", value)
    best = made.best()
    assert best is not None
    assert (best.trial, best.value) == (entries[1].spec, 5.0)


def test_a_trial_costs_no_look_at_the_others(url: str, monkeypatch: pytest.MonkeyPatch):
    """Claiming, reporting, judging and ending one of many trials, and telling the progress, walk no list of them."""
    many = [cell(0, 0.01 * (1 + place)) for place in range(200)]
    search = Search(url, study(screen={"seeds": 3, "pruner": "race"}), "screen", trials((BASELINE, *many)))

    def refuse(_: TrialIndex) -> None:
        raise AssertionError("every trial was looked at")

    monkeypatch.setattr(TrialIndex, "__iter__", refuse)
    monkeypatch.setattr(TrialIndex, "states", refuse)
    for value in range(5):
        (trial,) = search.claim(1)
        assert search.is_running(trial.key)
        for rung, step in enumerate((50, 100)):
            search.report(trial.key, step, rung, 10.0 + value)
            search.judge([trial.key])
        search.finish(trial.key, "complete", 10.0 + value)
    assert not search.done()
    assert search.counts() == {"complete": 5, "waiting": 598}
    assert search.best() is not None
