"""The baseline's further seeds: what they add, and that its error is what it is said to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from sweeper.statistics.baseline_level import Level, baseline_level
from sweeper.statistics.effects import fit_effects

CELLS, SHARED, STUDIES = 12, 3, 300


def levels(own: float, seed: float, further: int) -> list[Level]:
    """Levels of a baseline that is truly 0, as its settings are; noise of one trial, and of a seed."""
    rng, found = np.random.default_rng(0), []
    for _ in range(STUDIES):
        seed_S = seed * rng.standard_normal(SHARED + further)
        baseline_S = seed_S + own * rng.standard_normal(SHARED + further)
        y_CS = seed_S[:SHARED] + rng.standard_normal((CELLS + 1, SHARED))
        y_CS[0] = baseline_S[:SHARED]
        effects = fit_effects(y_CS)
        assert effects is not None
        level = baseline_level(effects, baseline_S[SHARED:])
        # Against the settings, whose own mean is known well.
        found.append(level._replace(mean=level.mean - float(effects.effect_C[1:].mean())))
    return found


def test_without_further_seeds_it_is_the_fitted_level_with_its_own_noise() -> None:
    y_CS = np.random.default_rng(0).standard_normal((5, 3))
    effects = fit_effects(y_CS)
    assert effects is not None
    found = baseline_level(effects, np.array([]))
    assert (found.mean, found.df) == (pytest.approx(effects.effect_C[0]), 4)


@pytest.mark.parametrize(
    ("own", "seed", "gain"), [(1.0, 0.0, 0.7), (2.0, 0.0, 0.7), (1.0, 0.5, 0.85), (1.0, 3.0, 1.05)]
)
def test_further_seeds_make_its_level_surer_as_far_as_seeds_alone_do_not_move_it(
    own: float, seed: float, gain: float
) -> None:
    few, many = (np.std([level.mean for level in levels(own, seed, further)]) for further in (0, 8))
    assert many < gain * few


@pytest.mark.parametrize(
    ("own", "seed", "least"), [(1.0, 0.0, 0.94), (2.0, 0.0, 0.9), (1.0, 1.0, 0.94), (1.0, 3.0, 0.94)]
)
def test_its_error_covers_the_truth(own: float, seed: float, least: float) -> None:
    hits = [abs(level.mean) <= stdtrit(level.df, 0.975) * level.error for level in levels(own, seed, 8)]
    assert np.mean(hits) > least
