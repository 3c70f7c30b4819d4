from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sweeper.records import Cell, TrialSpec
from sweeper.search.pruning import Pruning
from sweeper.search.store import Entry
from tests.simulation.pruning import Mask, PruningRow, markdown, run, simulate, waves
from tests.simulation.pruning_worlds import CROSSINGS, NOISES, SEEDS, SURFACES, Array, Scenario, draw, scenarios
from trainer.recipe import Dispersion

STUDIES = 250


@pytest.mark.parametrize("crossing", CROSSINGS)
@pytest.mark.parametrize("surface", SURFACES)
def test_the_race_keeps_the_best_cell_in_every_noise(surface, crossing):
    """At the largest noise, where wrong stops are most frequent; `make simulate` has all others."""
    rows = [simulate(Scenario(surface, noise, 0.3, crossing), STUDIES, 0) for noise in NOISES]
    assert all(row.holds for row in rows), markdown(rows)


@pytest.mark.parametrize("noise", ["unequal", "t3"])
def test_the_race_keeps_the_best_cell_of_a_large_grid(noise):
    """The nearest to a bar of all scenarios, about .01 of .03, and so with more studies."""
    row = simulate(Scenario("all worse", noise, 0.3, "moderate", grid=(6, 5)), 4 * STUDIES, 0)
    assert row.holds, markdown([row])


@pytest.mark.parametrize("rungs", [(0.25, 0.5, 1.0), (0.5, 0.75, 1.0), (1.0,)])
def test_the_race_keeps_the_best_cell_whatever_the_rungs(rungs):
    row = simulate(Scenario("large spread", "unequal", 0.12, "strong", rungs=rungs), STUDIES, 0)
    assert row.holds, markdown([row])
    assert row.bad_stopped > 0.9


@pytest.mark.parametrize(("sd", "stopped", "saved"), [(0.05, 0.99, 0.4), (0.12, 0.99, 0.35), (0.3, 0.8, 0.25)])
def test_most_of_what_clearly_bad_cells_would_cost_is_saved(sd: float, stopped: float, saved: float):
    """A third of a cell's steps is one seed; nothing can be saved of the first half of the first."""
    for crossing in CROSSINGS:
        row = simulate(Scenario("large spread", "normal", sd, crossing), STUDIES, 0)
        assert row.bad_stopped >= stopped
        assert row.bad_saved >= saved


def test_a_cell_three_times_the_baseline_never_gets_to_its_third_seed():
    drawn = draw(Scenario("block_temp", "normal", 0.05, "moderate"), STUDIES, np.random.default_rng(0))
    outcome = run(drawn, (0.5, 1.0))
    assert outcome.stopped_NC[:, -1].mean() > 0.99
    assert outcome.used_NCS[:, -1, 2].mean() < 0.01
    assert outcome.stopped_NC[:, 1:-1].mean() < 0.03


def told_by_pruning(y_RCS: Array, rungs: Sequence[float]) -> tuple[Mask, Array]:
    """Run one study through the real pruning; return who was stopped and the share of the budget every trial used."""
    pruning = Pruning("race", rungs, "simulated")
    configurations = y_RCS.shape[1]
    cells = [_cell(c) for c in range(configurations)]
    used_CS = np.zeros((configurations, SEEDS))
    for seed, wave in waves(configurations):
        alive = {
            c: Entry(TrialSpec(stage="screen", cell=cells[c], seed=seed), seed * configurations + c, 0, "running")
            for c in wave
            if cells[c].key not in pruning.eliminated
        }
        for rung, share in enumerate(rungs):
            for c, entry in list(alive.items()):
                used_CS[c, seed] = share
                if np.isfinite(y_RCS[rung, c, seed]):
                    pruning.observe(entry, rung, float(np.exp(y_RCS[rung, c, seed])))
                else:
                    alive.pop(c).state = "diverged"
                    pruning.ended(entry)
            pruning.update()
            for c in [c for c, entry in alive.items() if rung < len(rungs) - 1 and pruning.stops(entry)]:
                entry = alive.pop(c)
                entry.state = "pruned"
                pruning.ended(entry)
        for entry in alive.values():
            entry.state = "complete"
            pruning.ended(entry)
    return np.array([cell.key in pruning.eliminated for cell in cells]), used_CS


def _cell(index: int) -> Cell:
    if index == 0:
        return Cell(role="baseline", label="baseline", dispersion=Dispersion())
    return Cell(role="grid", label=str(index), dispersion=Dispersion(lam=0.01 * index, blocks=(0,)))


@pytest.mark.parametrize("rungs", [(0.5, 1.0), (0.25, 0.5, 1.0)])
@pytest.mark.parametrize("noise", ["unequal", "diverging"])
def test_studies_simulated_side_by_side_end_as_the_pruning_ends_each(noise, rungs):
    drawn = draw(Scenario("large spread", noise, 0.3, "strong", rungs=rungs), 12, np.random.default_rng(1))
    outcome = run(drawn, rungs)
    for y_RCS, stopped_C, used_CS in zip(drawn.y_NRCS, outcome.stopped_NC, outcome.used_NCS, strict=True):
        by_pruning, used_by_pruning = told_by_pruning(y_RCS, rungs)
        np.testing.assert_array_equal(stopped_C, by_pruning)
        np.testing.assert_array_equal(used_CS, used_by_pruning)
    assert 0 < outcome.stopped_NC.mean() < 1


@pytest.mark.parametrize(("crossing", "rho"), [("none", 1.0), ("moderate", 0.8), ("strong", 0.4)])
def test_places_at_half_of_the_budget_correlate_with_the_final_ones_as_said(crossing, rho: float):
    drawn = draw(Scenario("large spread", "normal", 1e-6, crossing), 400, np.random.default_rng(2))
    half, final = drawn.y_NRCS[:, 0, 1:, 0], drawn.y_NRCS[:, 1, 1:, 0]
    found = [np.corrcoef(one, other)[0, 1] for one, other in zip(half, final, strict=True)]
    assert np.mean(found) == pytest.approx(rho, abs=0.03)


@pytest.mark.parametrize("noise", [noise for noise in NOISES if noise != "t3"])
def test_noise_has_the_sd_asked_for_and_correlates_between_rungs(noise):
    y_NRCS = draw(Scenario("null", noise, 0.2, "none"), 4000, np.random.default_rng(3)).y_NRCS[:, :, 1:]
    differences = (y_NRCS[:, :, 1:] - y_NRCS[:, :, [0]]).swapaxes(0, 1).reshape(2, -1)
    half, final = differences[:, np.isfinite(differences).all(axis=0)]
    expected = {"correlated": 0.2, "unequal": 0.2 * (2 * 1.353) ** 0.5}.get(noise, 0.2 * 2**0.5)
    assert final.std() == pytest.approx(expected, rel=0.03)
    assert np.corrcoef(half, final)[0, 1] == pytest.approx(0.7, abs=0.03)


def test_a_row_knows_its_limit_and_says_when_a_bar_is_missed():
    scenario = Scenario("additive", "normal", 0.1, "moderate")
    assert PruningRow(scenario, 100, 0.0, 0.0, 0.0, np.nan, np.nan).upper == pytest.approx(1 - 0.05**0.01)
    missed = PruningRow(scenario, 1000, 0.05, 0.2, 0.1, np.nan, np.nan)
    assert not missed.holds
    assert "MISSED" in markdown([missed])
    assert len(set(scenarios())) == len(list(scenarios()))
