"""Which arms no other dominates: ties, one objective, and arms that were not compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.statistics.dominance import non_dominated

NAN = float("nan")


def free(*rows: tuple[float, ...]) -> list[bool]:
    found: list[bool] = non_dominated(np.array(rows, dtype=np.float64)).tolist()
    return found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 2), (2, 1), (2, 2)], [True, True, False]),
        ([(1, 1), (1, 1), (2, 0)], [True, True, True]),  # equals do not dominate each other
        ([(1, 1), (1, 2), (2, 1)], [True, False, False]),  # as good in one, better in the other
        ([(3,), (1,), (1,)], [False, True, True]),
        ([(1, NAN), (2, 2), (3, 3)], [False, True, False]),  # what lacks a value neither dominates nor is free
        ([(NAN, NAN)], [False]),
        ([(5, 5, 5)], [True]),
    ],
)
def test_an_arm_is_free_unless_another_is_as_good_in_all_and_better_in_one(
    rows: list[tuple[float, ...]], expected: list[bool]
) -> None:
    assert free(*rows) == expected


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_every_dominated_arm_is_dominated_by_a_free_one(points: list[tuple[int, int]]) -> None:
    found = free(*points)
    assert any(found)
    for own, is_free in zip(points, found, strict=True):
        above = [
            other
            for other, other_is_free in zip(points, found, strict=True)
            if other_is_free and other != own and all(a <= b for a, b in zip(other, own, strict=True))
        ]
        assert is_free == (not above)
