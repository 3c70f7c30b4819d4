"""The map as tables of HTML: readable without a script, from a keyboard, in the dark and on paper."""

from __future__ import annotations

import math
from typing import NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import GridPage
from sweeper.render.environment import html_environment
from sweeper.render.figures.map_cells import Shades, Tone, map_words, shades_of
from sweeper.render.tables.guide_tables import shown_pages
from sweeper.text.numbers import signed
from sweeper.text.untrusted import visible


class MapCell(NamedTuple):
    """A cell of the map; without a key the study has no such setting. `depth` of its colour goes from 0 to 1."""

    key: str
    tone: Tone
    depth: float
    lines: tuple[str, ...]


class MapPage(NamedTuple):
    """One table of the map."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MapCell, ...]], ...]


def map_tables(guide: Guide) -> str:
    """Write the map as HTML; '' where a study is no grid, or one too large to read."""
    pages = shown_pages(guide)
    shades = shades_of(guide, (key for page in pages for row in page.keys for key in row if key))
    if not shades.change:
        return ""
    return (
        html_environment()
        .get_template("page/map.html.j2")
        .render(
            name=f"{guide.words(guide.objective)} against lambda 0, by setting",
            pages=[_page(guide, page, shades) for page in pages],
            best=f"{signed(math.expm1(-shades.end))} %",
            worst=f"{signed(math.expm1(shades.end))} %",
        )
    )


def _page(guide: Guide, page: GridPage, shades: Shades) -> MapPage:
    results = {result.key: result for result in guide.main.cells}

    def cell(key: str | None) -> MapCell:
        if key is None:
            return MapCell("", "unknown", 0.0, ())
        words = visible(map_words(results[key], shades))
        return MapCell(key, shades.tone(key), round(shades.depth(key), 2), tuple(words.splitlines()))

    rows = tuple((name, tuple(cell(key) for key in keys)) for name, keys in zip(page.rows, page.keys, strict=True))
    return MapPage(page.title, f"{page.row_name} \\ {page.column_name}", page.columns, rows)
