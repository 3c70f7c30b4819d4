"""Dominance between arms in several objectives.

Shapes: C arms, O objectives.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sweeper.statistics.effects import Matrix


def non_dominated(value_CO: Matrix) -> npt.NDArray[np.bool_]:
    """Return which arms no other arm dominates, [C]; lower is better in every objective.

    One arm dominates another if it is as good in every objective and better in one, so of equal arms neither does. An
    arm that lacks a value (NaN) dominates none and is none of the non-dominated: it was not compared.

        >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [0.5, np.nan]])).tolist()
        [True, True, False, True, False]
    """
    known_C = np.isfinite(value_CO).all(axis=1)
    among_CO = value_CO[known_C]
    free = [not _dominates(among_CO, own_O).any() for own_O in among_CO]
    found_C = np.zeros(len(value_CO), dtype=np.bool_)
    found_C[known_C] = free
    return found_C


def _dominates(value_CO: Matrix, own_O: Matrix) -> npt.NDArray[np.bool_]:
    as_good_C = (value_CO <= own_O).all(axis=1)
    better_C = (value_CO < own_O).any(axis=1)
    return np.asarray(as_good_C & better_C)
