"""The response surface of a study's screen: its settings as points in the space of the knobs it sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.stage_table import BASELINE, Evidence, Matrix, StageTable
from sweeper.statistics.gaussian_process import Knobs
from sweeper.statistics.response_surface import Screen, Surface, fit_surface, why_none
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, Knob, Value
from trainer.recipe import Dispersion

MOST_CELLS = 160  # more take minutes
LOGARITHMIC = (LAMBDA, TAU)
MIDDLE = 0.5  # where a setting lies on a knob that does nothing for it


class Axis(NamedTuple):
    """A knob that varies, or lambda, which has 0 beside its levels.

    Its levels in reading order and where each lies: from 0 to 1 if it has an order.
    """

    knob: Knob
    levels: tuple[Value, ...]
    places: dict[Value, float]
    ordered: bool

    @property
    def is_scale(self) -> bool:
        """Whether there are values between its levels."""
        return self.knob in LOGARITHMIC

    def at(self, value: Value | None) -> float:
        """Where a value lies, between the levels too."""
        if value in self.places or value is None or not self.is_scale:
            return self.places.get(value, MIDDLE)
        low, high = (math.log(self.levels[end]) for end in (0, -1))
        return (math.log(value) - low) / (high - low or 1.0)


class ScreenSurface(NamedTuple):
    """A screen's settings in the space of their knobs, `keys` in the order of `place_CK`; `reason`: why no surface."""

    keys: tuple[str, ...]
    axes: tuple[Axis, ...]
    place_CK: Matrix
    screen: Screen | None
    seeds: int
    reason: str = ""

    def fit(self, more_PK: Matrix) -> Surface | None:
        """Fit the surface, and predict it at further points as well; None where `reason` says why."""
        if self.screen is None or self.reason:
            return None
        names = [axis.knob for axis in self.axes]
        crossed = ((names.index(LAMBDA), names.index(TAU)),) if {LAMBDA, TAU} <= {*names} else ()
        knobs = Knobs(np.vstack([self.place_CK, more_PK]), tuple(axis.ordered for axis in self.axes), crossed)
        return fit_surface(self.screen, knobs)

    def place(self, setting: Dispersion) -> Matrix:
        """Where a setting lies, [K]."""
        return np.array([axis.at(axis.knob.of(setting)) for axis in self.axes])


def screen_surface(known: Evidence, always: str = BASELINE) -> ScreenSurface:
    """Lay a screen's settings out; of too many a part is taken, evenly over the reading order, `always` among it."""
    table = known.stages.get("screen")
    keys = [key for key in table.keys if known.cells[key].role == "grid" and _is_sound(table, key)] if table else []
    if len(keys) > MOST_CELLS:
        keys = [keys[place] for place in np.linspace(0, len(keys) - 1, MOST_CELLS).astype(int)]
        keys += [always] if table and always in table.row and always not in keys and always != BASELINE else []
    settings = [known.cells[key].dispersion for key in keys]
    axes = tuple(axis for knob in KNOBS if len((axis := _axis(knob, settings)).levels) > (knob is not LAMBDA))
    place_CK = np.array([[axis.at(axis.knob.of(one)) for axis in axes] for one in settings])
    if table is None or BASELINE not in table.row:
        return ScreenSurface(tuple(keys), axes, place_CK, None, 0, "no screen with lambda 0 was run")
    rows = [table.row[key] for key in keys]
    screen = Screen(table.logs()[rows], table.logs()[table.row[BASELINE]], _early(known, table, rows))
    reason = why_none(screen)
    return ScreenSurface(tuple(keys), axes, place_CK, screen, len(table.shared_seeds), reason)


def _is_sound(table: StageTable, key: str) -> bool:
    """Whether a setting did not diverge as often as not: its other seeds are the lucky ones."""
    states = table.states(key)
    return states.count("complete") > states.count("diverged") + states.count("failed") or "pruned" in states


def _axis(knob: Knob, settings: Sequence[Dispersion]) -> Axis:
    seen = {value for one in settings if (value := knob.of(one)) is not None}
    levels = tuple(sorted(seen, key=knob.rank))
    single = knob is BLOCK and all(len(level) == 1 for level in levels)
    ordered = single or not (knob is BLOCK or knob.every)
    if not ordered:
        return Axis(knob, levels, {level: float(place) for place, level in enumerate(levels)}, ordered)
    numbers = [_number(knob, level, place) for place, level in enumerate(levels)]
    span = (numbers[-1] - numbers[0]) or 1.0 if numbers else 1.0
    return Axis(knob, levels, {level: (x - numbers[0]) / span for level, x in zip(levels, numbers, strict=True)}, True)


def _number(knob: Knob, level: Value, place: int) -> float:
    """Where a level lies on its knob's scale; levels that are no numbers lie at even steps."""
    if knob in LOGARITHMIC:
        return math.log(level)
    return float(level[0]) if knob is BLOCK else float(place)


def _early(known: Evidence, table: StageTable, rows: Sequence[int]) -> Matrix | None:
    """The log objective at the rung before the last at which most of those stopped were measured, [C, S]."""
    steps = [step for step in table.steps if step < max(table.steps)]
    stopped = table.pruned_cs[rows].any(axis=1)
    if not steps or not stopped.any():
        return None
    name = known.study.minimised.name(last=False)
    rungs = {step: table.at(step, name)[rows] for step in steps}
    best = max(steps, key=lambda step: (int(np.isfinite(rungs[step][stopped]).any(axis=1).sum()), step))
    return np.asarray(np.log(np.where(rungs[best] > 0, rungs[best], np.nan)))
