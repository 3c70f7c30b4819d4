"""How many seeds a gain takes in looks, held against the looks themselves, and against the t-test of one look."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.statistics.look_levels import look_levels
from sweeper.statistics.look_power import (
    COUNTED,
    Array,
    Plan,
    _level,
    detectable_effect,
    detectable_gain,
    needed_for,
    needed_in_looks,
    power_in_looks,
)
from sweeper.statistics.looks import PairedInLooks, Prior
from sweeper.statistics.noise_laws import NORMAL, NoiseLaw
from sweeper.statistics.power import detectable, needed_seeds, power

LOOKS = (3, 5, 8, 12)
ALPHA = 0.035 / 3
PRIOR = Prior(sd=1.0, df=60, baseline_runs=3)
IN_LOOKS = Plan.under(PRIOR, (3, 5, 8, 12, 20), ALPHA)


def confirmed(differences: Array) -> bool:
    """Follow one arm through its looks as `endings` does, without Holm's correction of one p-value."""
    for look in LOOKS:
        paired = PairedInLooks(differences[:look], LOOKS, PRIOR)
        if paired.p_of_claim("lower") <= ALPHA:
            return True
        if paired.is_futile("lower"):
            return False
    return False


def test_the_power_in_looks_is_that_of_the_looks_themselves() -> None:
    rng, studies = np.random.default_rng(1), 400
    found = sum(confirmed(rng.standard_normal(12) - 1.2) for _ in range(studies))
    wanted = power_in_looks(1.2, LOOKS, IN_LOOKS)
    assert found / studies == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / studies))


@pytest.mark.parametrize("law", [NORMAL, NoiseLaw(2.0)])
def test_the_levels_of_a_plan_are_those_of_the_claims(law: NoiseLaw) -> None:
    known = look_levels(LOOKS, 2, law)
    planned = _level(LOOKS, ALPHA, 2, law)
    assert known.chance(planned) == pytest.approx(ALPHA, rel=0.15)


def test_one_look_without_a_prior_has_the_power_of_its_t_test() -> None:
    assert power_in_looks(1.3, (8,), Plan((8,), ALPHA)) == pytest.approx(power(1.3, 1.0, 8, ALPHA), abs=0.015)


def test_a_study_without_looks_or_prior_keeps_the_t_tests_numbers() -> None:
    plain = Plan.under(None, (), ALPHA)
    assert needed_for(0.05, 0.08, plan=plain) == needed_seeds(0.05, 0.08, ALPHA)
    assert detectable_gain(5, 0.08, plain) == detectable(5, 0.08, ALPHA)


def test_the_detectable_effect_is_seen_with_the_desired_power() -> None:
    effect = detectable_effect(12, IN_LOOKS, 0.8)
    assert effect is not None
    assert power_in_looks(effect, LOOKS, IN_LOOKS) == pytest.approx(0.8, abs=0.001)
    assert detectable_gain(12, 0.1, IN_LOOKS) == pytest.approx(1 - np.exp(-0.1 * effect))
    assert detectable_effect(2, IN_LOOKS) is None


@pytest.mark.parametrize("effect", [0.9, 1.5, 2.5])
def test_as_many_seeds_as_are_needed_show_the_effect_and_one_less_does_not(effect: float) -> None:
    count = needed_in_looks(effect, IN_LOOKS)
    assert count is not None
    shown = detectable_effect(count, IN_LOOKS)
    assert shown is not None
    assert shown <= effect * 1.03  # between the numbers at which it is counted, it is interpolated
    fewer = detectable_effect(count - 1, IN_LOOKS)
    assert fewer is None or fewer > effect * 0.97


def test_a_small_effect_takes_more_seeds_than_are_counted_by_the_square() -> None:
    once = Plan.under(PRIOR, (), ALPHA)
    shown = detectable_effect(COUNTED[-1], once)
    assert shown is not None
    assert needed_in_looks(shown / 2, once) == pytest.approx(4 * COUNTED[-1], abs=1)
    assert needed_in_looks(0.01, once) is None
    assert needed_in_looks(0.0, once) is None


def test_no_number_of_seeds_in_looks_shows_a_gain_that_arms_are_given_up_for() -> None:
    # Half a standard deviation is below what an arm has to promise at its first looks.
    assert needed_in_looks(0.5, IN_LOOKS) is None
    assert power_in_looks(0.5, IN_LOOKS.until(COUNTED[-1]), IN_LOOKS) < 0.7
    once = needed_in_looks(0.5, Plan.under(PRIOR, (), ALPHA))
    assert once is not None
    assert once < 60


def test_skewed_noise_in_the_screen_takes_more_seeds() -> None:
    skewed = Plan.under(PRIOR._replace(skewness=2.0), LOOKS, ALPHA)
    normal = IN_LOOKS._replace(laws=(NORMAL,))
    few, many = needed_in_looks(1.2, normal), needed_in_looks(1.2, skewed)
    assert few is not None
    assert many is None or few < many


def test_what_is_planned_is_what_the_claims_do() -> None:
    """The critical values are those at which a claim's p-value passes its level."""
    for shift in (0.9, 1.1):
        effect = detectable_effect(5, Plan.under(PRIOR, (), ALPHA), 0.5)
        assert effect is not None
        noise = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / np.std([-1.0, -0.5, 0.0, 0.5, 1.0], ddof=1)
        p = PairedInLooks(noise - shift * effect, (5,), PRIOR).p_value("lower")
        assert (p <= ALPHA) == (shift > 1)
