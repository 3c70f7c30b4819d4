"""How cells are laid out for a reader: as pages of rows and columns where the study is a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sweeper.guide.schema.results import GridPage
from sweeper.records import Cell
from sweeper.study import Axis, Range, Study, block_indices, block_name
from trainer.recipe import VARIANTS, Variant

WIDEST = 12  # columns a code host still shows without scrolling
NO_TAU = 1.0  # what the plan gives cells of a variant that has none
Point = tuple[Variant, tuple[int, ...], float, float]


class _Axes(NamedTuple):
    blocks: tuple[tuple[int, ...], ...]
    lams: tuple[float, ...]
    taus: tuple[float, ...]


class _Knob(NamedTuple):
    name: str
    values: tuple[object, ...]
    labels: tuple[str, ...]


def grid_pages(study: Study, cells: Mapping[str, Cell]) -> tuple[GridPage, ...]:
    """Lay the study's grid out as pages, usually block by tau for each lambda; none for continuous knobs."""
    axes = _axes(study)
    if axes is None:
        return ()
    keys = {
        (cell.dispersion.variant, cell.dispersion.blocks, cell.dispersion.lam, cell.dispersion.tau): key
        for key, cell in cells.items()
        if cell.role == "grid" and cell.dispersion.tau_units == study.space.tau_units
    }
    found = (page for variant in study.space.variant for page in _variant_pages(study, axes, variant, keys))
    return tuple(page for page in found if page.keys)


def _axes(study: Study) -> _Axes | None:
    space, taps = study.space, study.recipe.model.taps
    lams, taus = (_points(axis, study.screen.sampler == "grid") for axis in (space.lam, space.tau))
    if not any(VARIANTS[variant].tau for variant in space.variant):
        taus = (NO_TAU,)
    if lams is None or taus is None:
        return None
    blocks = dict.fromkeys(block_indices(block, taps) for block in space.block)
    return _Axes(tuple(blocks), lams, taus)


def _points(axis: Axis, grid: bool) -> tuple[float, ...] | None:
    if isinstance(axis, Range):
        return axis.points() if grid else None
    return tuple(dict.fromkeys(axis))


def _variant_pages(study: Study, axes: _Axes, variant: Variant, keys: Mapping[Point, str]) -> list[GridPage]:
    taps, relative = study.recipe.model.taps, study.space.tau_units == "relative"
    block = _Knob("block", axes.blocks, tuple(f"block {block_name(blocks, taps)}" for blocks in axes.blocks))
    lam = _Knob("lambda", axes.lams, tuple(f"lambda {value:g}" for value in axes.lams))
    unit = " x mean distance" if relative else ""
    tau = _Knob("tau", axes.taus, tuple(f"tau {value:g}{unit}" for value in axes.taus))
    if VARIANTS[variant].tau is None:
        tau = _Knob("tau", (NO_TAU,), ("no tau",))
    page, row, column = _arrange(block, lam, tau)
    suffix = f", {variant}" if len(study.space.variant) > 1 or variant != "l2" else ""

    def key(values: dict[str, object]) -> str | None:
        return keys.get((variant, values["block"], values["lambda"], values["tau"]))  # type: ignore[arg-type]

    tables = (
        [[key({page.name: p, row.name: r, column.name: c}) for c in column.values] for r in row.values]
        for p in page.values
    )
    return [_page(label + suffix, row, column, table) for label, table in zip(page.labels, tables, strict=True)]


def _arrange(block: _Knob, lam: _Knob, tau: _Knob) -> tuple[_Knob, _Knob, _Knob]:
    page, row, column = lam, block, tau
    if len(block.values) == 1:
        page, row = block, lam
    elif len(tau.values) == 1:
        page, column = tau, lam
    return (page, column, row) if len(column.values) > WIDEST >= len(row.values) else (page, row, column)


def _page(title: str, row: _Knob, column: _Knob, table: list[list[str | None]]) -> GridPage:
    rows = [i for i, line in enumerate(table) if any(line)]
    columns = [j for j in range(len(column.values)) if any(line[j] for line in table)]
    return GridPage(
        title=title,
        row_name=row.name,
        column_name=column.name,
        rows=tuple(row.labels[i] for i in rows),
        columns=tuple(column.labels[j] for j in columns),
        keys=tuple(tuple(table[i][j] for j in columns) for i in rows),
    )
