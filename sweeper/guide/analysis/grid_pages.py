"""The layout of cells in a guide: pages of rows and columns, where the study is a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from sweeper.guide.schema.results import GridPage
from sweeper.records import Cell
from sweeper.study import Range, Study
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, TAU_UNITS, VARIANT, Knob, Value, level
from trainer.recipe import TauUnits, Variant

WIDEST = 12  # columns that a code host shows without scrolling
# Behind a tau; where a space lists several units, a page has one and its title names it.
_UNITS: dict[TauUnits, str] = {"absolute": "", "relative": " x mean distance", "median": " x median distance"}
Point = tuple[Value, ...]  # a value of each knob, in their order; None where it does nothing


class _Axis(NamedTuple):
    knob: Knob
    values: tuple[Value, ...]
    labels: tuple[str, ...]


def grid_pages(study: Study, cells: Mapping[str, Cell]) -> tuple[GridPage, ...]:
    """Lay the study's grid out as pages, usually block by tau for each lambda; none for continuous knobs."""
    if any(_is_continuous(knob, study) for knob in KNOBS):
        return ()
    keys: dict[Point, str] = {}
    for key, cell in cells.items():
        setting = cell.dispersion
        values = tuple(knob.of(setting) for knob in KNOBS)
        if cell.role == "grid":
            keys[values] = key
    pages = (page for variant in study.space.variant for page in _variant_pages(study, variant, keys))
    return tuple(page for page in pages if page.keys)


def _is_continuous(knob: Knob, study: Study) -> bool:
    acts = any(knob.applies(variant) for variant in study.space.variant)
    return acts and study.screen.sampler != "grid" and isinstance(knob.axis(study), Range)


def _variant_pages(study: Study, variant: Variant, keys: Mapping[Point, str]) -> list[GridPage]:
    axes = {knob.name: _axis(knob, study, variant) for knob in KNOBS if knob is not VARIANT}
    row, column = _rows_and_columns(list(axes.values()))
    others = [axis for axis in axes.values() if axis not in (row, column)]
    pages = [axis for axis in others if not _goes_without_saying(axis)]
    fixed = {axis.knob.name: axis.values[0] for axis in others}
    suffix = f", {variant}" if len(study.space.variant) > 1 or variant != VARIANT.usual else ""
    laid_out = []
    for chosen in product(*(range(len(axis.values)) for axis in pages)):
        here = fixed | {axis.knob.name: axis.values[i] for axis, i in zip(pages, chosen, strict=True)}
        title = ", ".join(axis.labels[i] for axis, i in zip(pages, chosen, strict=True)) + suffix
        table = [
            [_key(keys, variant, {**here, row.knob.name: r, column.knob.name: c}) for c in column.values]
            for r in row.values
        ]
        laid_out.append(_page(title, row, column, table))
    return laid_out


def _goes_without_saying(axis: _Axis) -> bool:
    knob = axis.knob
    if knob.usual is None or len(axis.values) > 1:
        return False
    return knob is TAU_UNITS or axis.values[0] in (None, knob.usual)  # units are said with tau


def _axis(knob: Knob, study: Study, variant: Variant) -> _Axis:
    if not knob.applies(variant):
        return _Axis(knob, (None,), (f"no {knob.words}",))
    points, taps = knob.points(study), study.recipe.model.taps
    unit = _UNITS[study.space.tau_units] if knob is TAU and isinstance(study.space.tau_units, str) else ""
    return _Axis(knob, points, tuple(f"{knob.words} {level(value, taps)}{unit}" for value in points))


def _key(keys: Mapping[Point, str], variant: Variant, values: Mapping[str, Value]) -> str | None:
    point = {**values, VARIANT.name: variant}
    return keys.get(tuple(point[knob.name] for knob in KNOBS))


def _rows_and_columns(axes: Sequence[_Axis]) -> tuple[_Axis, _Axis]:
    """Choose two axes that vary, block and tau first, and make the one that comes first in `KNOBS` the rows."""
    first = [BLOCK, TAU, LAMBDA]
    ranked = sorted(axes, key=lambda axis: first.index(axis.knob) if axis.knob in first else len(first))
    varying = [axis for axis in ranked if len(axis.values) > 1]
    # A knob that does not vary becomes an axis only if nothing else does; block is then the least informative.
    spare = sorted((axis for axis in axes if axis not in varying), key=lambda axis: axis.knob is BLOCK)
    chosen = (varying + spare)[:2]
    row, column = (axis for axis in axes if axis in chosen)
    return (column, row) if len(column.values) > WIDEST >= len(row.values) else (row, column)


def _page(title: str, row: _Axis, column: _Axis, table: list[list[str | None]]) -> GridPage:
    rows = [i for i, line in enumerate(table) if any(line)]
    columns = [j for j in range(len(column.values)) if any(line[j] for line in table)]
    return GridPage(
        title=title,
        row_name=row.knob.words,
        column_name=column.knob.words,
        rows=tuple(row.labels[i] for i in rows),
        columns=tuple(column.labels[j] for j in columns),
        keys=tuple(tuple(table[i][j] for j in columns) for i in rows),
    )
