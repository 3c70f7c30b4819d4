"""The fast part of `tests.simulation.ties`: seeds that agree by chance confirm nothing, and the harness can fail."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from tests.simulation import ties

STUDIES = 400
CHANCE = 1e-4


@pytest.mark.parametrize("settings", ties.SCREENED)
def test_seeds_that_agree_by_chance_are_no_claim(settings: int) -> None:
    found = ties.figures(0.5, settings, STUDIES)
    for seeds in ties.SEEDS:
        assert binom.sf(found[f"{seeds} is"] - 1, STUDIES, ties.ALPHA) > CHANCE, (seeds, found)


def test_taking_such_seeds_for_seeds_without_noise_is_caught() -> None:
    found = ties.figures(1.0, ties.SCREENED[0], STUDIES)
    assert binom.sf(found["3 was"] - 1, STUDIES, ties.ALPHA) < 0.01, found
