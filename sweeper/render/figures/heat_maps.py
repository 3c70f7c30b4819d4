"""Heat maps of a study's grid; points instead of cells where the knobs are continuous."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import GridPage
from sweeper.render.figures.colours import colour_bar, colours, norm
from sweeper.render.figures.map_cells import Shades, map_note, map_words, shades_of
from sweeper.render.figures.scattered_map import scattered_map
from sweeper.render.figures.style import Painted

MOST_PAGES = 9
MOST_ANNOTATED = 12  # rows and columns
UNIT = " x "  # begins a level's unit, as in "tau 0.5 x mean distance"


def overview(guide: Guide) -> Painted | None:
    """Draw the grid as maps, or continuous knobs as points; None when nothing has finished, or of a single cell."""
    means = [result.mean for result in guide.main.cells if result.mean]
    is_map = sum(bool(key) for page in guide.pages for row in page.keys for key in row) != 1
    if not means or min(means) <= 0 or not is_map:
        return None
    return _maps(guide, guide.pages[:MOST_PAGES]) if guide.pages else scattered_map(guide)


def _maps(guide: Guide, pages: tuple[GridPage, ...]) -> Painted | None:
    across = min(3, len(pages))
    down = math.ceil(len(pages) / across)
    width, height = (_extent(max(len(side(page)) for page in pages)) for side in (_columns, _rows))
    canvas = Figure(
        figsize=(min(across * width * 1.1 + 1.9, 16), min(down * (height * 0.7 + 0.9), 14)), layout="constrained"
    )
    shades = shades_of(guide, (key for page in pages for row in page.keys for key in row if key))
    panels = canvas.subplots(down, across, squeeze=False)
    for panel, page in zip(panels.flat, pages, strict=False):
        _map(panel, page, guide, shades)
    for spare in panels.flat[len(pages) :]:
        spare.set_axis_off()
    metric = guide.words(guide.objective)
    colour_bar(canvas, list(panels.flat), shades, "against lambda 0")
    left_out = f"; {len(guide.pages) - len(pages)} more pages in guide.json" if len(guide.pages) > len(pages) else ""
    return Painted(canvas, f"{metric} against lambda 0, by setting", map_note(guide, shades) + left_out)


def _columns(page: GridPage) -> tuple[str, ...]:
    return page.columns


def _rows(page: GridPage) -> tuple[str, ...]:
    return page.rows


def _extent(count: int) -> float:
    return max(1.6, min(count * 0.9, 11.0))


def _map(axes: Axes, page: GridPage, guide: Guide, shades: Shades) -> None:
    results = {result.key: result for result in guide.main.cells}
    values = np.array([[shades.change.get(key or "", np.nan) for key in row] for row in page.keys])
    axes.set_facecolor("#f4f4f4")
    axes.patch.set(hatch="///", edgecolor="#9a9a9a")
    axes.imshow(values, cmap=colours(shades), norm=norm(shades), aspect="auto")
    axes.set_title(page.title)
    _ticks(axes, page)
    if max(values.shape) > MOST_ANNOTATED:
        return
    for i, row in enumerate(page.keys):
        for j, key in enumerate(row):
            value = values[i, j]
            dark = np.isfinite(value) and abs(value) > max(0.65 * shades.end, shades.noise)  # noise is light grey
            box = None if np.isfinite(value) else {"facecolor": "#f4f4f4", "edgecolor": "none", "pad": 1.5}
            text = map_words(results[key], shades) if key else ""
            axes.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
                bbox=box if text else None,
            )


def _ticks(axes: Axes, page: GridPage) -> None:
    for axis, labels, name in ((axes.xaxis, page.columns, page.column_name), (axes.yaxis, page.rows, page.row_name)):
        stride, units = math.ceil(len(labels) / 20), {label.partition(UNIT)[2] for label in labels}
        unit = f"{UNIT}{units.pop()}" if len(units) == 1 and "" not in units else ""
        shown = [label.removeprefix(f"{name} ").removesuffix(unit) for label in labels[::stride]]
        axis.set_ticks(range(0, len(labels), stride), shown)
        axis.set_label_text(f"{name} ({unit.strip()})" if unit else name)
