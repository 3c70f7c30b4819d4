from __future__ import annotations

import numpy as np
import pytest

from sweeper.statistics.look_families import Arms, Open, equivalence_of, still_open
from sweeper.statistics.looks import Judging

JUDGING = Judging((3, 5, 8))
BASELINE = np.array([10.0, 10.2, 9.9])


def arms(*logs: float, spread: float = 0.01, **told: list[bool]) -> Arms:
    """Arms whose log objective differs from lambda 0's by so much, give or take `spread`."""
    wobble = spread * np.array([1.0, -1.0, 0.5])
    return Arms(np.array([BASELINE * np.exp(log + wobble) for log in logs]), ["lower"] * len(logs), **told)


def test_a_control_goes_on_by_itself_while_its_gain_may_still_be_shown() -> None:
    settings, controls = arms(0.3, -0.9), arms(-0.1, 0.2, spread=0.05, rivals=[False, False])
    assert still_open(BASELINE, settings, controls, JUDGING) == Open(frozenset(), frozenset({0}))


def test_every_control_goes_on_beside_an_open_setting_for_a_setting_that_helps_is_held_against_it() -> None:
    settings, controls = arms(-0.1, spread=0.05), arms(0.2, rivals=[True])
    assert still_open(BASELINE, settings, controls, JUDGING) == Open(frozenset({0}), frozenset({0}))


def test_a_setting_that_helps_goes_on_beside_the_rival_it_may_still_beat_and_beside_no_other() -> None:
    noisy = BASELINE * np.exp(-0.75 + np.array([0.1, -0.1, 0.05]))
    values = np.stack([noisy, BASELINE * np.exp(0.5)])
    rival = Arms(values, ["lower", "lower"], rivals=[True, True])
    found = still_open(BASELINE, arms(-0.9, 0.3, spread=0.002), rival._replace(directions=[]), JUDGING)
    assert found == Open(frozenset({0}), frozenset({0}))


def test_controls_of_a_stage_begun_before_they_had_looks_go_along_with_the_settings_alone() -> None:
    controls = arms(-0.1, spread=0.05)._replace(directions=[])
    assert still_open(BASELINE, arms(0.3), controls, JUDGING) == Open(frozenset(), frozenset())


def test_what_is_equivalent_shares_its_level_among_the_arms() -> None:
    one, four = equivalence_of(0.05, 1), equivalence_of(0.05, 4)
    assert one.alpha == 4 * four.alpha
    assert np.expm1(one.margin) == pytest.approx(0.05)
