"""The response surface of a study's screen: its settings as points in the space of the knobs it sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, Mask, Matrix, StageTable
from sweeper.records import BASELINE_KEY, TrialState
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


def screen_surface(known: Evidence, always: str = BASELINE_KEY) -> ScreenSurface:
    """Lay out the screen of a record; of too many settings a part is taken, `always` among it."""
    return lay_out(*screen_of(known), always)


def screen_of(known: Evidence) -> tuple[dict[str, Dispersion], Screen | None]:
    """Return the sound settings of a record's screen and what was measured of them, in reading order.

    None where lambda 0 was not screened.
    """
    table = known.stages.get("screen")
    keys = [key for key in table.keys if known.cells[key].role == "grid"] if table else []
    keys = [key for key in keys if table and is_sound(table.states(key))]
    settings = {key: known.cells[key].dispersion for key in keys}
    if table is None or BASELINE_KEY not in table.row:
        return settings, None
    rows = [table.row[key] for key in keys]
    return settings, Screen(table.logs()[rows], table.logs()[table.row[BASELINE_KEY]], _early(known, table, rows))


def lay_out(settings: Mapping[str, Dispersion], screen: Screen | None, always: str = BASELINE_KEY) -> ScreenSurface:
    """Place the sound settings of a screen, in the order of its rows, on the knobs that vary.

    Of too many a part is taken, evenly over their order, `always` among it.
    """
    keys, rows = list(settings), np.arange(len(settings))
    if len(keys) > MOST_CELLS:
        taken = np.linspace(0, len(keys) - 1, MOST_CELLS).astype(int)
        rows = np.append(taken, [keys.index(always)] if always in {*keys} - {keys[row] for row in taken} else [])
        rows = rows.astype(int)
    keys = [keys[row] for row in rows]
    placed = [settings[key] for key in keys]
    axes = tuple(axis for knob in KNOBS if len((axis := _axis(knob, placed)).levels) > (knob is not LAMBDA))
    place_CK = np.array([[axis.at(axis.knob.of(setting)) for axis in axes] for setting in placed])
    if screen is None:
        return ScreenSurface(tuple(keys), axes, place_CK, None, 0, "no screen with lambda 0 was run")
    early = None if screen.early_CS is None else screen.early_CS[rows]
    screen = Screen(screen.y_CS[rows], screen.baseline_S, early)
    seeds = screen.shared()[0].y_CS.shape[1]
    return ScreenSurface(tuple(keys), axes, place_CK, screen, seeds, why_none(screen))


def is_sound(states: Sequence[TrialState]) -> bool:
    """Whether fewer than half of a setting's trials diverged: if more do, the other seeds are the lucky ones."""
    return states.count("complete") > states.count("diverged") + states.count("failed") or "pruned" in states


def _axis(knob: Knob, settings: Sequence[Dispersion]) -> Axis:
    seen = {value for setting in settings if (value := knob.of(setting)) is not None}
    levels = tuple(sorted(seen, key=knob.rank))
    single = knob is BLOCK and all(len(level) == 1 for level in levels)
    ordered = single or not (knob is BLOCK or knob.every)
    if not ordered:
        return Axis(knob, levels, {level: float(place) for place, level in enumerate(levels)}, ordered)
    numbers = [_number(knob, level, place) for place, level in enumerate(levels)]
    span = (numbers[-1] - numbers[0]) or 1.0 if numbers else 1.0
    return Axis(knob, levels, {level: (x - numbers[0]) / span for level, x in zip(levels, numbers, strict=True)}, True)


def _number(knob: Knob, level: Value, place: int) -> float:
    """Where a level lies on its knob's scale; levels that are not numbers are evenly spaced."""
    if knob in LOGARITHMIC:
        return math.log(level)
    return float(level[0]) if knob is BLOCK else float(place)


def _early(known: Evidence, table: StageTable, rows: Sequence[int]) -> Matrix | None:
    """The log objective at the rung before the last at which most of those stopped were measured, [C, S]."""
    steps = [step for step in table.steps if step < max(table.steps)]
    stopped = np.asarray(table.pruned_cs[rows].any(axis=1))
    name = known.study.minimised.name(last=False)
    return early_rung({step: table.at(step, name)[rows] for step in steps}, stopped)


def early_rung(rungs: Mapping[int, Matrix], stopped_C: Mask) -> Matrix | None:
    """Return the log objective, [C, S], at the latest of these rungs at which most of those stopped were measured.

    `rungs` are objectives by step, [C, S], NaN where there is none; None where nothing was stopped.
    """
    if not rungs or not stopped_C.any():
        return None
    best = max(rungs, key=lambda step: (int(np.isfinite(rungs[step][stopped_C]).any(axis=1).sum()), step))
    return np.asarray(np.log(np.where(rungs[best] > 0, rungs[best], np.nan)))
