from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr, t
from statsmodels.stats.power import TTestPower

from sweeper.statistics.noise import pairing
from sweeper.statistics.power import detectable, needed_seeds, power
from sweeper.statistics.rank_agreement import chance_of_agreement, rank_agreement


@pytest.mark.parametrize(("gain", "sd", "alpha"), [(0.05, 0.1, 0.0133), (0.05, 0.5, 0.05), (0.1, 0.05, 0.01)])
def test_needed_seeds_agree_with_statsmodels(gain: float, sd: float, alpha: float) -> None:
    wanted = TTestPower().solve_power(gain / sd, alpha=alpha, power=0.8, alternative="larger")
    assert needed_seeds(gain, sd, alpha) == math.ceil(wanted)


def test_power_agrees_with_a_simulation_of_the_paired_test() -> None:
    draws = np.random.default_rng(0).normal(0.1, 0.08, (20_000, 5))
    scores = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(5)
    assert power(0.1, 0.08, 5, 0.02) == pytest.approx((scores > t.ppf(0.98, 4)).mean(), abs=0.015)


def test_a_detectable_gain_has_just_that_power() -> None:
    gain = detectable(5, 0.06, 0.0133)
    assert gain is not None
    assert power(-math.log1p(-gain), 0.06, 5, 0.0133) == pytest.approx(0.8, abs=1e-6)
    assert detectable(2, 3.0, 0.0133) is None
    assert needed_seeds(0.001, 1.0, 0.0133) is None


def test_pairing_recovers_noise_and_correlation() -> None:
    generator = np.random.default_rng(0)
    shared, baseline = generator.normal(0, 0.1, 60), generator.normal(0, 0.05, 60)
    y_CS = shared + generator.normal(0, 0.05, (12, 60))
    found = pairing(y_CS, shared + baseline)
    assert found is not None
    assert found.difference_sd == pytest.approx(0.05 * math.sqrt(2), rel=0.2)
    assert found.correlation == pytest.approx(0.8, abs=0.07)
    assert found.width_ratio == pytest.approx(math.sqrt(0.2), rel=0.2)
    assert found.cells == 12


@pytest.mark.parametrize(("cells", "seeds", "shared"), [(12, 3, 0.1), (3, 2, 0.0), (1, 5, 0.0), (40, 4, 0.05)])
def test_the_interval_of_the_noise_covers_it_as_often_as_it_says(cells: int, seeds: int, shared: float) -> None:
    generator, noise, covered = np.random.default_rng(0), 0.05, 0
    for _ in range(400):
        level_S = generator.normal(0, shared, seeds)
        y_CS = level_S + generator.normal(0, noise, (cells, seeds))
        found = pairing(y_CS, level_S + generator.normal(0, noise, seeds))
        assert found is not None
        low, high = found.sd_interval(0.05)
        assert low < found.difference_sd < high
        covered += low <= noise * math.sqrt(2) <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_pairing_needs_two_shared_seeds() -> None:
    assert pairing(np.array([[1.0, np.nan]]), np.array([1.0, 2.0])) is None


def test_rank_agreement_is_spearmans_with_fishers_interval() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.1, 1.9, 3.5, 3.4, 5.0, 7.0]
    found = rank_agreement(x, y)
    assert found is not None
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    z, reach = math.atanh(found.rho), 1.959964 / math.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(math.tanh(z - reach)), pytest.approx(math.tanh(z + reach)))
    assert rank_agreement([1, 2, 3], [1, 2, 3]) is None
    assert rank_agreement([1, 1, 1, 1], [1, 2, 3, 4]) is None


def test_the_chance_of_an_agreement_is_that_of_all_orders_or_of_many() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 4.0]
    rho = spearmanr(x, y).statistic
    orders = [spearmanr(x, order).statistic for order in itertools.permutations(y)]
    as_far = np.mean([abs(one) >= abs(rho) - 1e-12 for one in orders])
    assert chance_of_agreement(x, y) == pytest.approx(as_far)
    random = np.random.default_rng(1)
    many = random.normal(size=(2, 30))
    assert chance_of_agreement(*many) == pytest.approx(spearmanr(*many).pvalue, abs=0.02)
    assert chance_of_agreement(*many) == chance_of_agreement(*many)
