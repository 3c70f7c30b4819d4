"""A share out of a total."""

from __future__ import annotations

import pytest

from sweeper.statistics.proportions import share_interval


def test_a_share_has_its_exact_interval() -> None:
    low, high = share_interval(0, 10)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
