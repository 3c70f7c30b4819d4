"""The study at a glance: maps of a grid, or points where the knobs are continuous."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, GridPage
from sweeper.render.figures.scattered_map import scattered_map
from sweeper.render.figures.shades import Shades, colour_bar, explained, marks_on, near_best, shades_of
from sweeper.render.figures.style import Painted
from sweeper.text.numbers import figure, share, signed

MOST_PAGES = 9
MOST_ANNOTATED = 12  # rows and columns


def overview(guide: Guide) -> Painted | None:
    """Draw the grid as maps, or continuous knobs as points; None when nothing has finished, or of a single cell."""
    means = [one.mean for one in guide.main.cells if one.mean]
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
    shades = shades_of(guide, {key for page in pages for row in page.keys for key in row if key})
    panels = canvas.subplots(down, across, squeeze=False)
    for panel, page in zip(panels.flat, pages, strict=False):
        _map(panel, page, guide, shades)
    for spare in panels.flat[len(pages) :]:
        spare.set_axis_off()
    metric = guide.words(guide.objective)
    colour_bar(canvas, list(panels.flat), shades, "against lambda 0")
    left_out = f"; {len(guide.pages) - len(pages)} more pages in guide.json" if len(guide.pages) > len(pages) else ""
    return Painted(canvas, f"{metric} against lambda 0, by setting", _note(guide, shades) + left_out)


def _note(guide: Guide, shades: Shades) -> str:
    on_map = [one.key for one in guide.main.cells if one.key not in guide.off_grid]
    near = near_best(guide)
    return (
        f"{explained(guide, shades)}{'; ' if near else ''}{near}; hatched: no finished trial{marks_on(guide, on_map)}"
    )


def _columns(page: GridPage) -> tuple[str, ...]:
    return page.columns


def _rows(page: GridPage) -> tuple[str, ...]:
    return page.rows


def _extent(count: int) -> float:
    return max(1.6, min(count * 0.9, 11.0))


def _map(axes: Axes, page: GridPage, guide: Guide, shades: Shades) -> None:
    results = {one.key: one for one in guide.main.cells}
    values = np.array([[shades.change.get(key or "", np.nan) for key in row] for row in page.keys])
    axes.set_facecolor("#f4f4f4")
    axes.patch.set(hatch="///", edgecolor="#9a9a9a")
    axes.imshow(values, cmap=shades.colours, norm=shades.norm, aspect="auto")
    axes.set_title(page.title)
    _ticks(axes, page)
    if max(values.shape) > MOST_ANNOTATED:
        return
    for i, row in enumerate(page.keys):
        for j, key in enumerate(row):
            value = values[i, j]
            dark = np.isfinite(value) and abs(value) > 0.65 * shades.end
            box = None if np.isfinite(value) else {"facecolor": "#f4f4f4", "edgecolor": "none", "pad": 1.5}
            text = _cell_text(results[key], shades) if key else ""
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
        stride = math.ceil(len(labels) / 20)
        axis.set_ticks(range(0, len(labels), stride), [label.removeprefix(f"{name} ") for label in labels[::stride]])
        axis.set_label_text(name)


def _cell_text(result: CellResult, shades: Shades) -> str:
    marks = (" ◦" if result.saturated else "") + (" †" if result.cell.mark else "")
    if result.key in shades.change:
        near = f"\nP {share(shades.near[result.key])}" if result.key in shades.near else ""
        return f"{signed(math.expm1(shades.change[result.key]))} %{marks}{near}"
    if result.mean is not None:
        return f"{figure(result.mean)}{marks}"
    if result.stopped_at is not None:
        return f"stopped\nat {result.stopped_at}{marks}"
    if "diverged" in result.states:
        return f"diverged{marks}"
    if "failed" in result.states:
        return f"failed{marks}"
    return ("not\nstarted" if result.not_started else "open") + marks
