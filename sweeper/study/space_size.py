"""How many settings the space of a study has, by arithmetic, without building any of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sweeper.study.knobs import KNOBS, VARIANT, cell_setting
from sweeper.study.space import Range
from trainer.recipe import Dispersion

if TYPE_CHECKING:
    from sweeper.study.study import Study


def is_continuous(study: Study) -> bool:
    """Whether a search draws from a range of values."""
    return any(
        isinstance(knob.axis(study), Range) and any(knob.applies(variant) for variant in study.space.variant)
        for knob in KNOBS
    )


def grid_count(study: Study) -> int:
    """Return how many settings the grid of a study's space has."""
    points = [(knob, len(knob.points(study))) for knob in KNOBS if knob is not VARIANT]
    return sum(
        math.prod(count for knob, count in points if knob.applies(variant)) for variant in {*study.space.variant}
    )


def extras_outside_grid(study: Study) -> int:
    """Return how many of a study's extra cells its grid does not have."""
    taps = study.recipe.model.taps
    return sum(not in_grid(study, cell_setting(cell, taps)) for cell in study.cells)


def in_grid(study: Study, setting: Dispersion) -> bool:
    """Whether the grid of a study's space has a setting."""
    values = ((knob, knob.of(setting)) for knob in KNOBS)
    return all(value is None or value in knob.points(study) for knob, value in values)
