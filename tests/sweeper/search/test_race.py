from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sweeper.records import BASELINE_KEY
from sweeper.search import race
from sweeper.search.race import Point, eliminated

RUNGS = (0.5, 1.0)


def even(fids: dict[str, float], seeds: int = 3, rung: int = 0) -> dict[Point, float]:
    """The same FID on every seed."""
    return {Point(cell, seed, rung): fid for cell, fid in fids.items() for seed in range(seeds)}


def test_a_configuration_clearly_behind_two_others_is_eliminated_and_a_close_one_is_not():
    values = even({"best": 20.0, "close": 24.0, "far": 60.0, BASELINE_KEY: 21.0}, rung=1)
    assert eliminated(values, RUNGS) == {"far"}


def test_the_baseline_is_exempt_and_still_a_rival():
    assert eliminated(even({"a": 20.0, "b": 21.0, BASELINE_KEY: 90.0}, rung=1), RUNGS) == frozenset()
    assert eliminated(even({"a": 20.0, "b": 90.0, BASELINE_KEY: 21.0}, rung=1), RUNGS) == {"b"}


def test_a_single_better_configuration_eliminates_nobody():
    """One lucky trial, or a baseline better than all cells, says nothing of how the others compare."""
    assert eliminated(even({"a": 60.0, "b": 61.0, "c": 62.0, BASELINE_KEY: 20.0}, rung=1), RUNGS) == frozenset()
    assert eliminated(even({"a": 200.0, BASELINE_KEY: 20.0}, rung=1), RUNGS) == frozenset()


def test_nothing_is_judged_before_half_of_the_budget():
    values = even({"best": 20.0, "second": 20.0, "far": 600.0})
    assert eliminated(values, (0.25, 1.0)) == frozenset()
    assert eliminated(values, (0.5, 1.0)) == {"far"}


def test_values_of_different_rungs_are_never_compared():
    early = even({"early": 90.0, "slow": 90.0}, rung=0)
    assert eliminated({**early, **even({"late": 2.0, "last": 2.0}, rung=1)}, RUNGS) == frozenset()


def test_only_seeds_that_both_have_are_compared():
    values = even({"best": 20.0, "second": 20.0}, seeds=2, rung=1) | {Point("other", 2, 1): 500.0}
    assert eliminated(values, RUNGS) == frozenset()


@pytest.mark.parametrize(("seeds", "ratio"), [(1, 6.5), (2, 2.2), (3, 1.65)])
def test_fewer_seeds_demand_a_wider_gap(seeds: int, ratio: float):
    limit = _limit(seeds)
    assert limit == pytest.approx(ratio, rel=0.05)
    for excess, out in ((1.001, {"c"}), (0.999, frozenset())):
        assert eliminated(even({"a": 20.0, "b": 20.0, "c": 20.0 * limit * excess}, seeds, rung=1), RUNGS) == out


def _limit(seeds: int) -> float:
    """The limit among three configurations whose seeds agree: the prior's share, on few degrees of freedom."""
    from scipy.stats import norm, t

    df = race.PRIOR_DF + 2 * (seeds - 1)
    sd = race.PRIOR_SD * (race.PRIOR_DF / df) ** 0.5
    return math.exp(t.ppf(norm.cdf(race.Z), min(df, race.SEED_DF * seeds)) * sd * (2 / seeds) ** 0.5)


def test_a_seed_more_than_others_have_tells_the_noise_but_a_single_shared_seed_does_not_tell_the_pairs_own():
    """Residuals of the others narrow the spread, never the quantile that a pair with one shared seed is given."""
    others = even({f"c{i}": 20.0 for i in range(40)}, rung=1)
    gap = 6.62 * 2**0.5 * race.FLOOR_SD
    for excess, out in ((1.01, {"new"}), (0.99, frozenset())):
        assert eliminated({**others, Point("new", 2, 1): 20.0 * math.exp(gap * excess)}, RUNGS) == out


def test_the_spread_never_falls_below_its_floor():
    _, spread = race._additive_fit(np.log(np.full((200, 3), 20.0)))
    assert spread.sd == race.FLOOR_SD
    assert spread.reach == pytest.approx(3 * race.FLOOR_SD, rel=0.02)


def test_before_the_end_a_gap_must_be_wider_than_learning_curves_cross():
    """The same gap at half of the budget: where complete trials kept their places it decides, else it does not."""
    half = even({f"c{i}": 40.0 * (1 + i / 50) for i in range(12)}) | even({"behind": 120.0})
    faithful = even({f"c{i}": 20.0 * (1 + i / 50) for i in range(12)}, rung=1)
    crossing = even({f"c{i}": 20.0 * 3 ** (i % 2) for i in range(12)}, rung=1)
    assert "behind" not in eliminated(half, RUNGS)
    assert "behind" in eliminated(half | faithful, RUNGS)
    assert "behind" not in eliminated(half | crossing, RUNGS)


def test_the_fit_equals_least_squares_with_dummies_where_trials_are_missing():
    rng = np.random.default_rng(0)
    y_CS = rng.normal(size=(6, 4))
    y_CS[rng.random((6, 4)) < 0.3] = np.nan
    y_CS[:, 0] = rng.normal(size=6)
    rows = [(c, s) for c, s in itertools.product(range(6), range(4)) if np.isfinite(y_CS[c, s])]
    design = np.array([[*(c == i for i in range(6)), *(s == j for j in range(4))] for c, s in rows], dtype=float)
    y = np.array([y_CS[at] for at in rows])
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    rss = float(((y - design @ solution) ** 2).sum())

    effect_C, spread = race._additive_fit(y_CS)

    df = len(rows) - rank
    assert spread.df == race.PRIOR_DF + df
    prior = race.PRIOR_DF * race.PRIOR_SD**2
    assert spread.sd == pytest.approx(((prior + rss) / (race.PRIOR_DF + df)) ** 0.5)
    assert np.ptp(effect_C - solution[:6]) == pytest.approx(0, abs=1e-9)


def test_a_configuration_whose_own_seeds_disagree_is_given_more_room():
    calm = even({f"c{i}": 20.0 for i in range(12)}, rung=1)
    steady = {Point("far", seed, 1): 34.0 for seed in range(3)}
    erratic = {Point("far", seed, 1): fid for seed, fid in enumerate((20.0, 34.0, 57.8))}
    assert eliminated(calm | steady, RUNGS) == {"far"}
    assert eliminated(calm | erratic, RUNGS) == frozenset()


def test_a_late_bloomer_that_has_caught_up_is_not_eliminated():
    early = even({"best": 20.0, "second": 21.0, "late": 400.0})
    assert eliminated(early, RUNGS) == {"late"}
    end = even({"best": 10.0, "second": 11.0, "late": 9.0}, seeds=1, rung=1)
    assert eliminated({**early, **end}, RUNGS) == frozenset()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1e-9])
def test_values_without_a_logarithm_count_as_not_measured(value: float):
    values = even({"best": 20.0, "close": 21.0}, rung=1)
    assert eliminated({**values, Point("broken", 0, 1): value}, RUNGS) == frozenset()


def race_through(effects: np.ndarray, sd: float, rng: np.random.Generator) -> frozenset[str]:
    """Run a study cell by cell, seed block by seed block, judging after every report; return who was stopped.

    Values of the two rungs of a trial share 60 % of their variance; seeds have effects of their own.
    """
    values: dict[Point, float] = {}
    stopped: frozenset[str] = frozenset()
    for seed in range(3):
        shift = rng.normal(0, 0.1)
        for index, effect in enumerate(effects):
            shared = rng.normal(0, sd * 0.6**0.5)
            for rung in range(2):
                if f"c{index}" not in stopped:
                    noise = shared + rng.normal(0, sd * 0.4**0.5)
                    values[Point(f"c{index}", seed, rung)] = 20 * math.exp(effect + shift + noise - 0.5 * rung)
                    stopped |= eliminated(values, RUNGS)
    return stopped


def kill_rate(effects: list[float], sd: float, studies: int = 40) -> float:
    """How often the best configuration, which is the first, is stopped."""
    deaths = ["c0" in race_through(np.array(effects), sd, np.random.default_rng(seed)) for seed in range(studies)]
    return sum(deaths) / studies


@pytest.mark.parametrize(
    ("effects", "sd"),
    [([0.0] * 13, 0.12), ([0.0, *(0.05 * i for i in range(1, 13))], 0.12), ([0.0] + [math.log(2)] * 6, 0.2)],
    ids=["no differences", "small differences", "noisy"],
)
def test_the_truly_best_configuration_is_stopped_in_at_most_3_percent_of_studies(effects: list[float], sd: float):
    assert kill_rate(effects, sd) <= 0.03


def test_a_configuration_twice_worse_is_mostly_stopped():
    effects = np.array([0.0] * 7 + [math.log(2)] * 6)
    stopped = [race_through(effects, 0.12, np.random.default_rng(seed)) for seed in range(30)]
    worse = sum(f"c{index}" in one for one in stopped for index in range(7, 13)) / (6 * len(stopped))
    good = sum(f"c{index}" in one for one in stopped for index in range(7)) / (7 * len(stopped))
    assert worse >= 0.9
    assert good <= 0.02


def test_a_panel_that_grew_report_by_report_is_the_one_laid_out_at_once_bit_for_bit():
    random = np.random.default_rng(5)
    values = {
        Point(f"c{c}", seed, rung): float(np.exp(random.normal(3 - rung + (c == 7), 0.1)))
        for c in range(12)
        for seed in range(4)
        for rung in (0, 1)
        if random.random() < 0.7
    }
    whole = race.Race(RUNGS, values)
    for _ in range(3):
        grown = race.Race(RUNGS)
        for place in random.permutation(len(values)):
            at = list(values)[place]
            grown.observe(at, values[at])
        assert np.array_equal(grown._y_RCS, whole._y_RCS, equal_nan=True)
        assert grown.eliminated() == whole.eliminated() == {"c7"}
