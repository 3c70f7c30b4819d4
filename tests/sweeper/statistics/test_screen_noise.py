"""What a screen says about noise: size, skewness, bad runs; and which laws a test then has to hold under."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.statistics.noise_laws import NORMAL, NoiseLaw
from sweeper.statistics.screen_noise import Prior, prior_of_screen

SETTINGS, SEEDS = 30, 3


def screen(rng: np.random.Generator, own_CS: np.ndarray) -> Prior:
    """Measure a screen whose settings differ widely, on seeds that all share."""
    seed_S = rng.normal(0, 0.05, SEEDS)
    levels_C = rng.normal(0, 0.3, (SETTINGS, 1))
    prior = prior_of_screen(levels_C + seed_S + own_CS, seed_S + rng.normal(0, 0.02, SEEDS))
    assert prior is not None
    return prior


def test_a_screen_says_how_noisy_differences_are_unless_it_is_too_small():
    rng = np.random.default_rng(0)
    baseline_S, y_CS = rng.normal(0, 0.1, 3), rng.normal(0, 0.1, (30, 3))
    prior = prior_of_screen(y_CS, baseline_S)
    assert prior is not None
    assert (prior.df, prior.baseline_runs) == (60, 3)
    assert prior.sd == pytest.approx(0.14, abs=0.06)
    assert prior_of_screen(y_CS[:2], baseline_S) is None
    assert prior_of_screen(y_CS[:, :1], baseline_S[:1]) is None


def test_skewness_is_not_shrunk_by_centring_on_three_seeds():
    rng = np.random.default_rng(0)
    found = [screen(rng, 0.1 * (rng.exponential(size=(SETTINGS, SEEDS)) - 1)).skewness for _ in range(200)]
    assert np.mean(found) == pytest.approx(1.8, abs=0.2)
    symmetric = [screen(rng, rng.normal(0, 0.1, (SETTINGS, SEEDS))).skewness for _ in range(200)]
    assert np.mean(symmetric) == pytest.approx(0.0, abs=0.1)


def test_a_skewed_screen_makes_the_test_of_the_bounded_side_stricter_and_not_the_other():
    skewed = Prior(0.1, 60, 3, 2.0)
    assert NoiseLaw(2.5) in skewed.laws("lower")
    assert skewed.laws("higher") == (NORMAL,)
    assert Prior(0.1, 60, 3, 0.0).laws("lower") == (NORMAL, NoiseLaw(0.5))


def test_bad_runs_are_seen_and_symmetric_noise_with_long_tails_has_none():
    rng = np.random.default_rng(0)
    bad = [
        screen(rng, rng.normal(0, 0.06, (SETTINGS, SEEDS)) + (rng.random((SETTINGS, SEEDS)) < 0.15)).bad
        for _ in range(200)
    ]
    assert sum(one is not None for one in bad) >= 190
    assert {one.side for one in bad if one} == {"higher"}
    assert np.mean([one.bad / one.runs for one in bad if one]) == pytest.approx(0.15, abs=0.02)
    heavy = [screen(rng, 0.06 * rng.standard_t(3, (SETTINGS, SEEDS))).bad for _ in range(200)]
    assert sum(one is not None for one in heavy) <= 4


def test_bad_runs_endanger_the_test_for_the_side_they_are_not_on():
    rng = np.random.default_rng(0)
    prior = screen(rng, rng.normal(0, 0.06, (SETTINGS, SEEDS)) - (rng.random((SETTINGS, SEEDS)) < 0.15))
    assert prior.bad is not None
    assert prior.bad.side == "lower"
    assert any(law.bad_share for law in prior.laws("higher"))
    assert not any(law.bad_share for law in prior.laws("lower"))


@pytest.mark.parametrize("law", [NORMAL, NoiseLaw(2.0), NoiseLaw(0.0, 0.15, 12.0)])
def test_a_law_has_mean_0_variance_1_and_its_tail_upwards(law):
    noise = law.draw((400_000,), np.random.default_rng(0))
    assert (noise.mean(), noise.var()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.02))
    assert (noise**3).mean() == pytest.approx({NORMAL: 0.0, NoiseLaw(2.0): 2.0}.get(law, 1.8), abs=0.1)


def with_further(further_S: list[float]) -> Prior:
    rng = np.random.default_rng(0)
    y_CS = np.full((30, 3 + len(further_S)), np.nan)
    y_CS[:, :3] = rng.normal(0, 0.1, (30, 3))
    prior = prior_of_screen(y_CS, np.concatenate([rng.normal(0, 0.1, 3), further_S]))
    assert prior is not None
    return prior


def test_the_baselines_runs_on_seeds_of_its_own_count_half_and_change_nothing_else():
    good = np.random.default_rng(1).normal(0, 0.1, 14).tolist()
    assert with_further(good) == with_further([])._replace(baseline_runs=10)


def test_where_a_run_of_the_baseline_ended_badly_none_says_that_it_has_no_bad_runs():
    good = np.random.default_rng(1).normal(0, 0.1, 13).tolist()
    assert with_further([*good, 1.0]).baseline_runs == 0
    # A run far below the others is luck that harm need not be held against.
    assert with_further([*good, -1.0]).baseline_runs == 10
