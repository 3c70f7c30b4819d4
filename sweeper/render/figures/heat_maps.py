"""The study at a glance: maps of a grid, or points where the knobs are continuous."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import GridPage
from sweeper.render.figures.map_cells import Shades, map_note, map_words, shades_of
from sweeper.render.figures.style import Painted, log_norm, plain_log

MOST_PAGES = 9
MOST_ANNOTATED = 12  # rows and columns
SHADES = 257
TICKS = (-0.6, -0.4, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0)


def overview(guide: Guide) -> Painted | None:
    """Draw the grid as maps, or continuous knobs as points; None when nothing has finished, or of a single cell."""
    means = [one.mean for one in guide.main.cells if one.mean]
    is_map = sum(bool(key) for page in guide.pages for row in page.keys for key in row) != 1
    if not means or min(means) <= 0 or not is_map:
        return None
    return _maps(guide, guide.pages[:MOST_PAGES]) if guide.pages else _scatter(guide)


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
    _colour_bar(canvas, list(panels.flat), shades, "against lambda 0")
    left_out = f"; {len(guide.pages) - len(pages)} more pages in guide.json" if len(guide.pages) > len(pages) else ""
    return Painted(canvas, f"{metric} against lambda 0, by setting", map_note(guide, shades) + left_out)


def colours_of(shades: Shades) -> ListedColormap:
    """Return a map's colours: blue to red, with all that is noise in one grey."""
    colours = colormaps["RdBu_r"](np.linspace(0, 1, SHADES))
    quiet = np.abs(np.linspace(-shades.end, shades.end, SHADES)) <= shades.noise
    colours[quiet] = to_rgba("#e4e4e4")
    return ListedColormap(colours)


def norm_of(shades: Shades) -> Normalize:
    """Return where on those colours a log ratio lies."""
    return Normalize(-shades.end, shades.end)


def _colour_bar(canvas: Figure, panels: list[Axes], shades: Shades, label: str) -> None:
    bar = canvas.colorbar(
        ScalarMappable(norm_of(shades), colours_of(shades)), ax=panels, extend="both" if shades.is_cut else "neither"
    )
    ticks = _ticks_apart(shades.end)
    bar.set_label(label)
    bar.set_ticks(
        [math.log1p(tick) for tick in ticks], labels=[f"{100 * tick:+.0f} %" if tick else "0" for tick in ticks]
    )
    bar.ax.minorticks_off()


def _ticks_apart(end: float) -> list[float]:
    """Choose 0 and the largest round changes whose labels do not touch."""
    chosen = [0.0]
    for tick in sorted(TICKS, key=abs, reverse=True):
        place = math.log1p(tick)
        if abs(place) <= end and all(abs(place - math.log1p(one)) >= 0.22 * end for one in chosen):
            chosen.append(tick)
    return sorted(chosen)


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
    axes.imshow(values, cmap=colours_of(shades), norm=norm_of(shades), aspect="auto")
    axes.set_title(page.title)
    _ticks(axes, page)
    if max(values.shape) > MOST_ANNOTATED:
        return
    for i, row in enumerate(page.keys):
        for j, key in enumerate(row):
            value = values[i, j]
            dark = np.isfinite(value) and abs(value) > 0.65 * shades.end
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
        stride = math.ceil(len(labels) / 20)
        axis.set_ticks(range(0, len(labels), stride), [label.removeprefix(f"{name} ") for label in labels[::stride]])
        axis.set_label_text(name)


def _scatter(guide: Guide) -> Painted | None:
    cells = [one for one in guide.main.cells if one.mean]
    lams, taus, means = (
        np.array(side)
        for side in zip(*((one.cell.dispersion.lam, one.cell.dispersion.tau, one.mean) for one in cells), strict=True)
    )
    canvas = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = canvas.subplots()
    points = axes.scatter(
        lams,
        means,
        c=taus,
        cmap="viridis",
        norm=log_norm(min(taus), max(taus)),
        s=26,
        edgecolors="#444444",
        linewidths=0.4,
    )
    if guide.main.baseline and guide.main.baseline.mean:
        axes.axhline(guide.main.baseline.mean, color="black", linestyle="--", linewidth=1, label="baseline")
        axes.legend(frameon=False)
    axes.set(xscale="log", yscale="log", xlabel="lambda", ylabel=guide.words(guide.objective))
    for axis in (axes.xaxis, axes.yaxis, canvas.colorbar(points, label="tau").ax.yaxis):
        plain_log(axis)
    return Painted(
        canvas, f"{guide.words(guide.objective)} by lambda and tau", "a point a setting, all blocks; lower is better"
    )
