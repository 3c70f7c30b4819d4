"""Random effects over scopes, against the formulas and against statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from sweeper.statistics.meta_analysis import pool

EFFECT = np.array([-0.30, -0.10, 0.05, -0.20, -0.02])
VARIANCE = np.array([0.010, 0.004, 0.006, 0.020, 0.002])


def test_mean_and_interval_are_those_of_hartung_and_knapp() -> None:
    found = pool(EFFECT, VARIANCE)
    known = combine_effects(EFFECT, VARIANCE, method_re="iterated", use_t=True)
    assert found is not None
    assert found.mean == pytest.approx(known.mean_effect_re)
    assert (found.low, found.high) == pytest.approx(tuple(known.conf_int()[3]), rel=1e-3)
    assert found.p_lower == pytest.approx(stats.t.cdf(found.mean / found.se, 4))
    assert found.p_lower + found.p_higher == pytest.approx(1)


def test_the_prediction_interval_holds_the_spread_between_scopes() -> None:
    found = pool(EFFECT, VARIANCE)
    assert found is not None
    reach = stats.t.ppf(0.975, 3) * np.hypot(found.spread, found.se)
    assert (found.expect_low, found.expect_high) == pytest.approx((found.mean - reach, found.mean + reach))


def test_scopes_that_agree_better_than_chance_do_not_shrink_the_error() -> None:
    found = pool(np.array([0.1, 0.1, 0.1]), np.full(3, 0.03))
    assert found is not None
    assert (found.spread, found.se) == pytest.approx((0, 0.1))


def test_two_scopes_have_a_mean_and_nothing_to_expect_elsewhere() -> None:
    found = pool(EFFECT[:2], VARIANCE[:2])
    assert found is not None
    assert (found.k, found.expect_low, found.expect_high) == (2, None, None)
    assert pool(EFFECT[:1], VARIANCE[:1]) is None


def test_the_mean_is_covered_as_often_as_said_on_few_scopes() -> None:
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        variance = random.uniform(0.2, 2, 6)
        found = pool(random.normal(1, np.sqrt(variance + 1)), variance)
        assert found is not None
        held += found.low <= 1 <= found.high
    assert held >= 0.93 * 400
