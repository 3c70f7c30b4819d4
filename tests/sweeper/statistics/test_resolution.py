"""Metrics that come in steps: how large a step is, and what seeds that agree to within one can show."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.statistics.looks import Judging, PairedInLooks, endings
from sweeper.statistics.paired_tests import Paired
from sweeper.statistics.resolution import least_noise, step_of

SHARES = np.array([431, 440, 433, 431, 450]) / 1438


def test_a_step_is_the_smallest_difference_seen_but_no_rounding() -> None:
    assert step_of(SHARES, 10_000) == pytest.approx(2 / 1438)
    assert step_of(np.array([*SHARES, SHARES[0] + 1e-12]), 10_000) == pytest.approx(2 / 1438)


def test_shares_that_are_all_the_same_come_in_the_finest_steps_there_are() -> None:
    assert step_of(np.full(4, 0.5), 10_000) == 1e-4


def test_only_metrics_that_are_shares_have_a_least_noise() -> None:
    level = float(np.median(SHARES))
    assert least_noise("recall_10k", SHARES) == pytest.approx(2 / 1438 / level)
    # As an objective it is minimised by its inverse, whose logarithm has the same steps.
    assert least_noise("1/recall_10k", 1 / SHARES) == pytest.approx(2 / 1438 / level)
    assert least_noise("fid_10k", SHARES) == least_noise("val_loss", SHARES) == 0.0
    assert least_noise("recall_10k", np.array([0.0, np.nan])) == 0.0


@pytest.mark.parametrize("test", [Paired, lambda differences, least: PairedInLooks(differences, (3,), None, least)])
def test_three_seeds_that_agree_are_known_to_within_a_step(test) -> None:
    one_step = np.full(3, 0.01)
    assert test(one_step, 0.0).p_value("higher") == 0.0
    assert test(one_step, 0.01).p_value("higher") == pytest.approx(0.113, abs=0.001)  # t = sqrt(3) on two degrees
    interval = test(one_step, 0.01).interval(0.05)
    assert interval.low < 0 < interval.high
    # A difference of many steps is one.
    assert test(np.full(3, 0.5), 0.01).p_value("higher") < 1e-3


def test_ties_of_five_seeds_are_no_evidence() -> None:
    tied = PairedInLooks(np.zeros(5), (5,), None, 0.01)
    assert tied.p_value("lower") == pytest.approx(0.5)
    assert tied.equivalence(0.05) < 0.01


def test_an_arm_is_not_confirmed_where_its_seeds_agree_by_chance() -> None:
    one_step = np.full((1, 3), -0.01)
    assert endings(one_step, ["lower"], Judging((3,)), 0.035)[0].state == "confirmed"
    assert endings(one_step, ["lower"], Judging((3,), least_noise=0.01), 0.035)[0].state == "futile"
