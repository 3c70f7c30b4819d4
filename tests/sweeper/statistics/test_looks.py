"""Planned looks: the level holds over all of them, one look is the t-test, and arms end where they are said to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtr

from sweeper.statistics.look_levels import look_levels
from sweeper.statistics.looks import (
    Ending,
    Equivalence,
    Judging,
    PairedInLooks,
    Prior,
    endings,
    enough_runs,
    log_ratios,
)  # fmt: skip
from sweeper.statistics.noise_laws import NoiseLaw
from sweeper.statistics.paired_tests import Paired

LOOKS = (3, 5, 8, 12, 20)


def minima(paths: int, prior_df: int = 0) -> np.ndarray:
    """Simulate the smallest weighted p-value of paths without effect."""
    rng, levels, found = np.random.default_rng(1), look_levels(LOOKS, prior_df), np.full(paths, np.inf)
    variance = prior_df / rng.chisquare(prior_df, paths) if prior_df else np.ones(paths)
    noise = rng.standard_normal((paths, LOOKS[-1])) * np.sqrt(variance)[:, None]
    for look, weight in zip(LOOKS, levels.weights, strict=True):
        own = noise[:, :look].var(axis=1, ddof=1) * (look - 1)
        df = look - 1 + prior_df
        t = noise[:, :look].mean(axis=1) / np.sqrt((own + prior_df) / df / look)
        found = np.minimum(found, stdtr(df, t) / weight)
    return found


@pytest.mark.parametrize("prior_df", [0, 2])
def test_the_smallest_p_value_of_all_looks_is_worth_what_simulation_says(prior_df):
    found = minima(200_000, prior_df)
    for level in (0.003, 0.035, 0.3):
        assert look_levels(LOOKS, prior_df).chance(np.quantile(found, level)) == pytest.approx(level, rel=0.12)


@pytest.mark.parametrize("prior_df", [0, 2])
def test_a_nominal_level_undoes_the_chance_of_the_minimum(prior_df):
    levels = look_levels(LOOKS, prior_df)
    for alpha in (1e-5, 0.0117, 0.5):
        assert levels.chance(levels.nominal(alpha, 20)) == pytest.approx(alpha, rel=0.02)
        assert levels.nominal(alpha, 5) < levels.nominal(alpha, 20)


def test_one_look_is_the_paired_t_test_bit_for_bit():
    differences = np.random.default_rng(0).normal(-0.1, 0.08, 5)
    looks, paired = PairedInLooks(differences, (5,)), Paired(differences)
    assert looks.p_value("lower", -0.05) == paired.p_value("lower", -0.05)
    assert looks.p_value("higher") == paired.p_value("higher")
    assert looks.interval(0.05 / 3) == paired.interval(0.05 / 3)
    assert looks.equivalence(0.05) == paired.equivalence(0.05)


def test_an_arm_ends_at_the_look_that_confirms_it_or_finds_it_futile():
    noise = np.random.default_rng(3).normal(0, 0.01, (3, 20))
    difference_KS = noise + np.array([[-0.3], [0.05], [-0.006]])
    difference_KS[0, 5:] = difference_KS[1, 3:] = difference_KS[2, 8:] = np.nan
    found = endings(difference_KS, ["lower"] * 3, Judging(LOOKS), 0.035)
    assert [(one.state, one.look) for one in found[:2]] == [("confirmed", 5), ("futile", 3)]
    assert found[2].state == "open"
    assert found[0].p <= 0.035 < found[1].p


def test_a_look_is_judged_only_when_every_open_arm_has_it():
    difference_KS = np.full((2, 20), np.nan)
    difference_KS[0, :5] = [-0.1, -0.12, -0.09, -0.11, -0.1]
    difference_KS[1, :2] = -0.1
    assert endings(difference_KS, ["lower"] * 2, Judging(LOOKS), 0.035) == [Ending("open", 0, 1.0)] * 2


def test_an_arm_with_a_seed_that_diverged_is_never_confirmed():
    difference_KS = np.full((1, 20), -0.5) + np.random.default_rng(0).normal(0, 0.01, (1, 20))
    difference_KS[0, 1] = np.inf
    assert endings(difference_KS, ["lower"], Judging(LOOKS), 0.035) == [Ending("futile", 3, 1.0)]


@pytest.mark.parametrize(("law", "worse"), [(NoiseLaw(2.0), 3.0), (NoiseLaw(0.0, 0.15, 12.0), 10.0)])
def test_the_same_minimum_is_worth_less_where_noise_is_skewed_or_runs_end_badly(law, worse):
    normal, other = look_levels(LOOKS, 2), look_levels(LOOKS, 2, law)
    assert other.chance(1e-3) > worse * normal.chance(1e-3)
    assert other.nominal(0.01, 20) < normal.nominal(0.01, 20)


def test_skewed_noise_is_called_a_gain_no_oftener_than_the_level_says():
    rng, prior = np.random.default_rng(2), Prior(1.0, 60, 3, 2.0)
    noise = rng.exponential(size=(1500, 12)) - 1
    plain = np.mean([PairedInLooks(one, (12,)).p_value("lower") <= 0.05 for one in noise])
    careful = np.mean([PairedInLooks(one, (12,), prior).p_value("lower") <= 0.05 for one in noise])
    assert plain > 0.09
    assert careful <= 0.05


def test_an_interval_is_longer_on_the_side_that_skewed_noise_endangers():
    differences = np.random.default_rng(0).normal(-0.1, 0.08, 8)
    skewed, normal = (PairedInLooks(differences, LOOKS, Prior(0.08, 60, 3, g)).interval(0.05) for g in (2.0, 0.0))
    assert skewed.high > normal.high
    assert skewed.low >= normal.low


def test_harm_is_not_claimed_within_what_unseen_bad_runs_of_the_baseline_can_hide():
    rng = np.random.default_rng(0)
    small, large = rng.normal(0.15, 0.1, 16), rng.normal(0.6, 0.1, 16)
    prior = Prior(0.1, 60, baseline_runs=2)
    assert PairedInLooks(small, (16,), prior).p_value("higher") < 0.01
    assert PairedInLooks(small, (16,), prior).p_of_claim("higher") > 0.1
    assert PairedInLooks(large, (16,), prior).p_of_claim("higher") < 0.01
    assert PairedInLooks(small, (16,), prior._replace(baseline_runs=3)).p_of_claim("higher") < 0.01
    assert PairedInLooks(small, (16,), prior._replace(baseline_runs=3)).p_of_claim("higher", metrics=2) > 0.1
    assert PairedInLooks(small, (16,), prior._replace(baseline_runs=7)).p_of_claim("higher", metrics=2) < 0.01
    assert PairedInLooks(-small, (16,), prior).p_of_claim("lower") < 0.01
    assert PairedInLooks(small, (16,), prior).p_of_claim("higher", better="higher") < 0.01


@pytest.mark.parametrize("metrics", [1, 2, 3, 6])
def test_runs_are_enough_when_a_bad_one_would_have_shown_in_every_metric(metrics):
    runs = enough_runs(metrics)
    assert metrics * 0.85**runs <= 0.05 < metrics * 0.85 ** (runs - 1)


def test_small_harm_takes_no_seeds_unless_a_reader_asks_about_the_setting():
    difference_KS = np.random.default_rng(0).normal(0.03, 0.05, (1, 20))
    assert endings(difference_KS, ["higher"], Judging(LOOKS), 0.035)[0].look <= 5
    assert endings(difference_KS, ["higher"], Judging(LOOKS), 0.035, marked=[True])[0].look > 5


def test_an_arm_that_changes_nothing_goes_on_until_that_is_shown_where_it_can_be():
    within, rng = Equivalence(0.05, 0.0015), np.random.default_rng(4)
    quiet, noisy = rng.normal(0.005, 0.03, (1, 20)), rng.normal(0.005, 0.2, (1, 20))
    assert endings(quiet, ["lower"], Judging(LOOKS), 0.035)[0].look == 3
    followed = endings(quiet, ["lower"], Judging(LOOKS, equivalence=within), 0.035)[0]
    assert 3 < followed.look < 20
    assert PairedInLooks(quiet[0, : followed.look], LOOKS).equivalence(within.margin) <= within.alpha
    assert followed.state == "futile"
    gave_up = endings(noisy, ["lower"], Judging(LOOKS), 0.035)[0].look
    assert endings(noisy, ["lower"], Judging(LOOKS, equivalence=within), 0.035)[0].look == gave_up


def test_two_seeds_confirm_nothing():
    assert endings(np.array([[-0.5, -0.5001]]), ["lower"], Judging((2,)), 0.035) == [Ending("futile", 2, 1.0)]


def test_a_figure_of_0_or_less_cannot_be_compared_and_a_seed_that_only_the_other_arm_lost_is_left_out():
    own, other = np.array([2.0, 2.0, 2.0, -1.0, np.nan]), np.array([1.0, np.nan, 0.0, 1.0, 1.0])
    found = log_ratios(own, other, np.isnan(own))
    np.testing.assert_array_equal(found, [np.log(2.0), -np.inf, np.inf, np.inf, np.inf])
