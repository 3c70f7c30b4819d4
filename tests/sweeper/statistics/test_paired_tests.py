from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from sweeper.statistics.paired_tests import Paired, holm

DIFFERENCES = np.array([-0.11, 0.02, -0.20, -0.07, -0.09])


def test_tests_and_intervals_equal_scipys() -> None:
    paired = Paired(DIFFERENCES)
    for direction, side in (("lower", "less"), ("higher", "greater")):
        assert paired.p_value(direction) == pytest.approx(ttest_1samp(DIFFERENCES, 0, alternative=side).pvalue)  # type: ignore[arg-type]
    assert paired.interval(0.1) == pytest.approx(tuple(ttest_1samp(DIFFERENCES, 0).confidence_interval(0.9)))
    assert (paired.n, paired.mean) == (5, pytest.approx(DIFFERENCES.mean()))


def test_equivalence_is_the_larger_of_two_one_sided_tests() -> None:
    low = ttest_1samp(DIFFERENCES, -0.2, alternative="greater").pvalue
    high = ttest_1samp(DIFFERENCES, 0.2, alternative="less").pvalue
    assert Paired(DIFFERENCES).equivalence(0.2) == pytest.approx(max(low, high))


@pytest.mark.parametrize("value", [0.0, 0.03])
def test_runs_that_are_the_same_bit_for_bit_are_known_without_noise(value: float) -> None:
    paired = Paired(np.full(4, value))
    assert paired.interval(0.05) == (value, value)
    assert (paired.p_value("lower"), paired.p_value("higher")) == (1.0, 0.0 if value else 1.0)
    assert (paired.equivalence(0.05), paired.equivalence(0.02)) == (0.0, 1.0 if value else 0.0)


def test_holms_adjustment_is_that_of_his_paper() -> None:
    # Sorted p times (m - rank), made monotone: .01 x 4, .02 x 3, .03 x 2, .05 x 1.
    assert holm([0.03, 0.01, 0.05, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_holms_adjustment_equals_statsmodels_to_the_last_bit(count: int) -> None:
    p_values = np.random.default_rng(count).random(count).round(2).tolist()  # with ties
    assert holm(p_values) == multipletests(p_values, method="holm")[1].tolist()
