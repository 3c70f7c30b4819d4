"""The axes of the parallel coordinates: the knobs that vary, and the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult
from sweeper.render.page.schema import Axis
from sweeper.study.knobs import KNOBS, Knob, Value, level
from sweeper.text.numbers import percent

MOST_LEVELS = 12  # more numbers than these are an axis of numbers
Places = tuple[float | None, ...]


class _Line(NamedTuple):
    # An axis, and every cell's place on it.
    axis: Axis
    places: Places


def axes_of(guide: Guide, cells: Sequence[CellResult]) -> tuple[tuple[Axis, ...], tuple[Places, ...]]:
    """Return the axes on which cells differ, and for every cell its place on each."""
    lines = [*_knob_lines(guide, cells), *_figure_lines(guide, cells)]
    lines = [line for line in lines if len({place for place in line.places if place is not None}) > 1]
    return tuple(line.axis for line in lines), tuple(
        tuple(line.places[row] for line in lines) for row in range(len(cells))
    )


def _knob_lines(guide: Guide, cells: Sequence[CellResult]) -> list[_Line]:
    return [_knob_line(knob, [knob.of(result.cell.dispersion) for result in cells], guide.places) for knob in KNOBS]


def _knob_line(knob: Knob, values: list[Value], taps: Sequence[str]) -> _Line:
    levels = sorted({value for value in values if value is not None}, key=knob.rank)
    if len(levels) > MOST_LEVELS and all(isinstance(value, int | float) for value in levels):
        return _Line(Axis(name=knob.words, log=levels[0] > 0), tuple(values))
    places = tuple(None if value is None else float(levels.index(value)) for value in values)
    return _Line(Axis(name=knob.words, levels=tuple(level(value, taps) for value in levels)), places)


def _figure_lines(guide: Guide, cells: Sequence[CellResult]) -> list[_Line]:
    surface = {cell.key: cell for cell in guide.heuristics.cells}
    health = {cell_health.key: cell_health for cell_health in guide.health}

    def line(name: str, of: Callable[[CellResult], float | None]) -> _Line:
        return _Line(Axis(name=name, span=(0.0, 1.0)), tuple(of(result) for result in cells))

    def ratios(name: str, of: Callable[[CellResult], float | None]) -> _Line:
        places = tuple(of(result) for result in cells)
        return _Line(Axis(name=name, log=all(place is None or place > 0 for place in places)), places)

    def ratio(one: CellResult) -> float | None:
        change = surface[one.key].change if one.key in surface else one.change
        return 1 + change.mean if change else None

    def healthy(figure: str) -> Callable[[CellResult], float | None]:
        return lambda one: getattr(health[one.key], figure) if one.key in health else None

    return [
        ratios(f"{guide.words(guide.objective)} / lambda 0's", ratio),
        line(
            f"P within {percent(guide.seeds.margin)} of best",
            lambda result: surface[result.key].near_best if result.key in surface else None,
        ),
        line("share at the floor", healthy("floor_share")),
        ratios("norm / baseline's", healthy("norm_ratio")),
        ratios("rank / baseline's", healthy("rank_ratio")),
    ]
