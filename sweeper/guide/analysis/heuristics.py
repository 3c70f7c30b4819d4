"""The heuristics table, one row per knob: the value to use, the safe range around it, and the cost of a step away.

Where a setting is confirmed to help, its knobs move one at a time, the others held. Where none is, lambda 0 is to be
used: lambda's levels are compared with it, on average over the other knobs, and the other knobs' levels with the
lowest one. All of it is from the screen; fresh seeds overrule the screen at the levels that they measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.screen_surface import Axis, ScreenSurface, screen_surface
from sweeper.guide.analysis.stage_table import Evidence, Matrix
from sweeper.guide.schema.heuristics import Against, Heuristic, Heuristics, LevelCost, MapCell, Reach
from sweeper.guide.schema.statements import Claim
from sweeper.records import BASELINE_KEY
from sweeper.statistics.response_surface import Costs, Surface, costs
from sweeper.study import Confirm
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, Value, level
from trainer.recipe import Dispersion

SAFE, DEAR = 0.9, 0.05  # the probability that a level is within the margin: at least .9 if safe, at most .05 if dear
MOST_LEVELS, MOST_BASES = 6, 24
Places = npt.NDArray[np.int64]
MOVED = (BLOCK, LAMBDA, TAU)  # every study moves these
OFF = "0"  # lambda's level without a loss


class Judged(NamedTuple):
    """Results of other parts of the guide: saturated settings, settings on the grid, claims, settings still open."""

    saturated: Collection[str]
    on_grid: Collection[str]
    claims: Sequence[Claim]
    open_keys: Collection[str]


class _Row(NamedTuple):
    # A knob's levels with the settings that represent each, and their reference.
    axis: Axis
    levels: tuple[Value, ...]
    settings: tuple[tuple[Dispersion, ...], ...]
    against: Against


class _Study(NamedTuple):
    # What every row needs: the evidence, the setting to use (None for lambda 0), the surface and the settings' places.
    known: Evidence
    judged: Judged
    use: Dispersion | None
    surface: Surface | None
    number: dict[Dispersion, int]
    margin: float
    seeds: int
    near: dict[int, float]  # how likely a measured setting is near the best


def heuristics(known: Evidence, judged: Judged) -> Heuristics:
    """Return the table's rows, without their words, and the map's cells."""
    helping = [claim for claim in judged.claims if claim.standing == "confirmed helps" and claim.change]
    use = min(helping, key=lambda claim: claim.change.mean if claim.change else 0.0).key if helping else BASELINE_KEY
    own = known.cells[use].dispersion if helping else None
    lies = screen_surface(known, use)
    axes = [axis for axis in lies.axes if own or _is_swept(known, axis, judged.on_grid)]
    scattered = not any(key in judged.on_grid for key in lies.keys)
    few = [_few(axis, scattered) for axis in axes]
    rows = [
        _around(axis, levels, own) if own else _averaged(known, lies, axis, levels, judged)
        for axis, levels in zip(axes, few, strict=True)
    ]
    index, more_PK = _points(lies, rows)
    surface = lies.fit(more_PK)
    margin = math.log1p((known.study.confirm or Confirm()).margin)
    near = dict(enumerate(surface.near_best(slice(len(lies.keys)), margin).tolist())) if surface else {}
    study = _Study(known, judged, own, surface, index, margin, lies.seeds, near)
    return Heuristics(
        use=use,
        rows=tuple(_heuristic(study, row) for row in rows),
        cells=_map(lies, surface, margin),
        reason=lies.reason,
    )


def _map(lies: ScreenSurface, surface: Surface | None, margin: float) -> tuple[MapCell, ...]:
    if surface is None or lies.screen is None:
        return ()
    finished = np.flatnonzero(np.isfinite(lies.screen.y_CS).any(axis=1))
    low, high = surface.band(finished)
    near, mean = surface.near_best(finished, margin), surface.mean
    seeds = np.isfinite(lies.screen.y_CS).sum(axis=1)
    return tuple(
        MapCell(
            key=lies.keys[cell],
            change=change_of(int(seeds[cell]), mean[cell], low[place], high[place]),
            near_best=float(near[place]),
        )
        for place, cell in enumerate(finished)
    )


def _around(axis: Axis, few: Sequence[Value], own: Dispersion) -> _Row:
    """Move one knob of the setting to use, and hold the others."""
    value = axis.knob.of(own)
    levels = tuple(sorted({*few, value}, key=axis.knob.rank)) if value is not None else ()
    return _Row(axis, levels, tuple((_moved(own, axis, level),) for level in levels), "setting")


def _is_swept(known: Evidence, axis: Axis, on_grid: Collection[str]) -> bool:
    """Whether a knob takes more than one value on the grid, if there is one; a setting beside it sweeps no knob."""
    values = {axis.knob.of(known.cells[key].dispersion) for key in on_grid}
    return axis.knob is LAMBDA or not on_grid or len(values - {None}) > 1


def _averaged(known: Evidence, lies: ScreenSurface, axis: Axis, few: Sequence[Value], judged: Judged) -> _Row:
    """Average a knob's levels over the same settings of the other knobs; saturated ones say nothing of some knobs."""
    knob = axis.knob
    on_grid = [key for key in lies.keys if key in judged.on_grid]
    kept = [key for key in on_grid or lies.keys if not (knob.needs_gradient and key in judged.saturated)]
    bases = [setting for key in kept if knob.of(setting := known.cells[key].dispersion) is not None]
    levels = tuple(value for value in few if not on_grid or value in {knob.of(setting) for setting in bases})
    places: list[int] = np.unique(np.linspace(0, len(bases) - 1, MOST_BASES).astype(int)).tolist() if bases else []
    settings = {value: [_moved(bases[place], axis, value) for place in places] for value in levels}
    if knob is LAMBDA:
        # Against lambda 0 levels need no common settings: a setting beside the grid represents its own lambda.
        beside = [known.cells[key].dispersion for key in lies.keys if on_grid and key not in on_grid]
        for setting in beside:
            if setting.lam not in levels and alike(setting, bases):
                settings.setdefault(setting.lam, []).append(setting)
    ranked = tuple(sorted(settings, key=knob.rank))
    sets = tuple(tuple(dict.fromkeys(settings[value])) for value in ranked)
    return _Row(axis, ranked, sets, "lambda 0" if knob is LAMBDA else "lowest")


def alike(setting: Dispersion, others: Iterable[Dispersion]) -> bool:
    """Whether a setting differs from others in block, lambda and tau alone: in other units a tau is another tau."""
    return any(all(knob.of(setting) == knob.of(other) for knob in KNOBS if knob not in MOVED) for other in others)


def _few(axis: Axis, scattered: bool) -> tuple[Value, ...]:
    """A knob's levels; for a continuous knob a few round values, evenly spaced.

    Where settings are `scattered`, each has its own value of the knob, at which nothing else was measured.
    """
    if len(axis.levels) <= (MOST_LEVELS if scattered and axis.is_scale else 2 * MOST_LEVELS):
        return axis.levels
    if axis.is_scale:
        spaced = np.geomspace(axis.levels[0], axis.levels[-1], MOST_LEVELS)
        return tuple(dict.fromkeys(float(f"{value:.2g}") for value in spaced))
    places = np.linspace(0, len(axis.levels) - 1, MOST_LEVELS).astype(int)
    return tuple(axis.levels[place] for place in places)


def _moved(setting: Dispersion, axis: Axis, value: Value) -> Dispersion:
    return setting.model_copy(update={axis.knob.field: value})


def _points(lies: ScreenSurface, rows: Iterable[_Row]) -> tuple[dict[Dispersion, int], Matrix]:
    """Number all settings that rows use; those that were not measured are further points, [P, K]."""
    known = {tuple(place): number for number, place in enumerate(lies.place_CK.tolist())}
    index: dict[Dispersion, int] = {}
    more: list[list[float]] = []
    for setting in {setting: None for row in rows for settings in row.settings for setting in settings}:
        place = lies.place(setting).tolist()
        if tuple(place) not in known:
            known[tuple(place)] = len(lies.keys) + len(more)
            more.append(place)
        index[setting] = known[tuple(place)]
    return index, np.array(more).reshape(len(more), len(lies.axes))


def _heuristic(study: _Study, row: _Row) -> Heuristic:
    knob, idle = row.axis.knob, _idle(study, row)
    levels: tuple[LevelCost, ...] = ()
    if not idle:
        points = [np.array([study.number[setting] for setting in settings]) for settings in row.settings]
        reference = _reference(study, row, points)
        priced = costs(study.surface, points, reference, study.margin) if study.surface else None
        levels = tuple(_level(study, row, priced, place, place == reference) for place in range(len(row.levels)))
        levels = (*_off(study, row, points), *levels) if knob is LAMBDA else levels
    units = _units(row) if knob is TAU else ""
    return Heuristic(
        knob=knob.name, ordered=row.axis.ordered, against=row.against, levels=levels, idle=idle, units=units
    )


def _units(row: _Row) -> str:
    """Return the units of tau, where all settings have the same and they are not the plain ones."""
    units = {setting.tau_units for settings in row.settings for setting in settings}
    return units.pop() if len(units) == 1 and units != {"absolute"} else ""


def _idle(study: _Study, row: _Row) -> str:
    """Say why a knob has no value to set or compare; empty where it has one."""
    if len(row.levels) > (row.against == "lowest"):
        return ""
    saturated = sum(key in study.judged.saturated for key in study.known.cells)
    if row.axis.knob.needs_gradient and saturated:
        settings = sum(cell.role == "grid" for cell in study.known.cells.values())
        return f"means nothing here: {saturated} of {settings} settings saturated ◦"
    return "the setting to use has none" if row.against == "setting" else "not varied among comparable settings"


def _reference(study: _Study, row: _Row, points: Sequence[Places]) -> int | None:
    """Which level the others are compared with; None for lambda 0."""
    if study.use is not None:
        return row.levels.index(row.axis.knob.of(study.use))
    if row.against == "lambda 0" or study.surface is None:
        return None
    mean = study.surface.mean
    return int(np.argmin([mean[level].mean() for level in points]))


def _level(study: _Study, row: _Row, priced: Costs | None, place: int, is_reference: bool) -> LevelCost:
    name = level(row.levels[place], study.known.study.recipe.model.taps)
    if is_reference and study.use is not None:
        return LevelCost(level=name, reach="use")
    if priced is None:
        return LevelCost(level=name, reach=_with_fresh_seeds(study, row, row.levels[place], "open"))
    cost = change_of(study.seeds, priced.mean_L[place], priced.low_L[place], priced.high_L[place])
    within = float(priced.within_L[place])
    # A level dear on average is not ruled out as long as one of its settings may be near the best.
    hope = max((study.near.get(study.number[setting], 0.0) for setting in row.settings[place]), default=0.0)
    dear = within <= DEAR and (row.against == "setting" or hope <= DEAR)
    screened: Reach = "safe" if within >= SAFE else "costs" if dear else "open"
    reach = "safe" if is_reference else _with_fresh_seeds(study, row, row.levels[place], screened)
    return LevelCost(level=name, reach=reach, cost=cost, within=within)


def _off(study: _Study, row: _Row, points: Sequence[Places]) -> tuple[LevelCost, ...]:
    """Lambda 0 as a level: the one to use, or what leaving the loss out costs, which fresh seeds confirmed."""
    if study.use is None:
        return (LevelCost(level=OFF, reach="use"),)
    if study.surface is None:
        return (LevelCost(level=OFF, reach="costs"),)
    own = points[row.levels.index(LAMBDA.of(study.use))]
    priced = costs(Surface(-study.surface.change_NP[:, own]), [np.array([0])], None, study.margin)
    cost = change_of(study.seeds, priced.mean_L[0], priced.low_L[0], priced.high_L[0])
    return (LevelCost(level=OFF, reach="costs", cost=cost, within=float(priced.within_L[0])),)


def _at_lambda(study: _Study, row: _Row, value: Value, reach: Reach, tested: int, hurt: Sequence[Claim]) -> Reach:
    """Judge a lambda at which settings were tested: harm in some says nothing of those that were not tested."""
    hurting = {study.known.cells[claim.key].dispersion for claim in hurt}
    if {*row.settings[row.levels.index(value)]} <= hurting:
        return "costs"
    if len(hurt) == tested:
        return "open" if reach == "safe" else reach
    return reach if not hurt and reach == "safe" else "open"


def _with_fresh_seeds(study: _Study, row: _Row, value: Value, reach: Reach) -> Reach:
    """Let fresh seeds overrule the screen: a level is not safe if its setting hurts, nor dear if that is still open."""
    knob, cells = row.axis.knob, study.known.cells
    here = [claim for claim in study.judged.claims if knob.of(cells[claim.key].dispersion) == value]
    if study.use is not None:
        moved = _moved(study.use, row.axis, value)
        here = [claim for claim in here if cells[claim.key].dispersion == moved]
    hurt = [claim for claim in here if claim.standing == "confirmed hurts" and not claim.within_margin]
    if study.use is not None:
        # A setting that helps may still be worse than a better one.
        return ("open" if reach == "safe" else "costs") if hurt else reach
    if here and knob is LAMBDA:
        return _at_lambda(study, row, value, reach, len(here), hurt)
    is_open = any(knob.of(cells[key].dispersion) == value for key in study.judged.open_keys if key in cells)
    return "open" if is_open and reach == "costs" else reach
