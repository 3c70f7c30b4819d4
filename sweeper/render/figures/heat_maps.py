"""The study at a glance: maps of a grid, or points where the knobs are continuous."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, GridPage
from sweeper.render.figures.style import Painted, log_norm, plain_log
from sweeper.text.numbers import figure, percent, share, signed

MOST_PAGES = 9
MOST_ANNOTATED = 12  # rows and columns
TWO_SIDED = 1.96
WIDEST = math.log(1.5)  # colours end here, unless noise is larger: beyond, worse is only worse
SHADES = 257
UNIT = " x "  # begins a level's unit, as in "tau 0.5 x mean distance"
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
    shades = _shades(guide, pages)
    panels = canvas.subplots(down, across, squeeze=False)
    for panel, page in zip(panels.flat, pages, strict=False):
        _map(panel, page, guide, shades)
    for spare in panels.flat[len(pages) :]:
        spare.set_axis_off()
    metric = guide.words(guide.objective)
    _colour_bar(canvas, list(panels.flat), shades, "against lambda 0")
    left_out = f"; {len(guide.pages) - len(pages)} more pages in guide.json" if len(guide.pages) > len(pages) else ""
    return Painted(canvas, f"{metric} against lambda 0, by setting", _note(guide, shades) + left_out)


def _note(guide: Guide, shades: _Shades) -> str:
    near = f"; P: the probability of lying within {percent(guide.seeds.margin)} of the best"
    source = "by the surface over the whole screen" if guide.heuristics.cells else "mean over seeds"
    noise = f", grey is within noise ({share(math.expm1(shades.noise))})" if shades.noise else ""
    on_map = [one for one in guide.main.cells if one.key not in guide.off_grid]
    signs = (
        "; ◦: saturated, at the floor of the loss for more than 10 % of steps"
        if any(one.saturated for one in on_map)
        else ""
    )
    marks = sorted({one.cell.mark for one in on_map if one.cell.mark})
    signs += f"; †: {', '.join(marks)}" if marks else ""
    return (
        f"{source}: blue is better than lambda 0, red is worse{noise}"
        f"{near if guide.heuristics.cells else ''}; hatched: no finished trial{signs}"
    )


class _Shades(NamedTuple):
    # Log ratio to lambda 0 by key; what of it is noise, and where colours end.
    change: dict[str, float]
    near: dict[str, float]
    noise: float
    end: float
    is_cut: bool

    @property
    def norm(self) -> Normalize:
        return Normalize(-self.end, self.end)

    @property
    def colours(self) -> ListedColormap:
        """Blue to red, with all that is noise in one grey."""
        colours = colormaps["RdBu_r"](np.linspace(0, 1, SHADES))
        quiet = np.abs(np.linspace(-self.end, self.end, SHADES)) <= self.noise
        colours[quiet] = to_rgba("#e4e4e4")
        return ListedColormap(colours)


def _shades(guide: Guide, pages: tuple[GridPage, ...]) -> _Shades:
    """Work out the colours from what is on the map alone: a setting beside the grid may be ten times worse."""
    on_map = {key for page in pages for row in page.keys for key in row if key}
    known = {one.key: one.change.mean for one in guide.heuristics.cells} or {
        one.key: one.change.mean for one in guide.main.cells if one.change
    }
    change = {key: math.log1p(mean) for key, mean in known.items() if key in on_map and mean > -1}
    seeds = max((one.n for one in guide.main.cells), default=1)
    noise = TWO_SIDED * (guide.seeds.difference_sd or 0.0) / max(seeds, 1) ** 0.5
    widest = max(map(abs, change.values()), default=0.0)
    end = max(min(widest, max(4 * noise, WIDEST)), 1.25 * noise, 0.01)
    near = {one.key: one.near_best for one in guide.heuristics.cells}
    return _Shades(change, near, noise, end, widest > end)


def _colour_bar(canvas: Figure, panels: list[Axes], shades: _Shades, label: str) -> None:
    bar = canvas.colorbar(
        ScalarMappable(shades.norm, shades.colours), ax=panels, extend="both" if shades.is_cut else "neither"
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


def _map(axes: Axes, page: GridPage, guide: Guide, shades: _Shades) -> None:
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
        stride, units = math.ceil(len(labels) / 20), {label.partition(UNIT)[2] for label in labels}
        unit = f"{UNIT}{units.pop()}" if len(units) == 1 and "" not in units else ""
        shown = [label.removeprefix(f"{name} ").removesuffix(unit) for label in labels[::stride]]
        axis.set_ticks(range(0, len(labels), stride), shown)
        axis.set_label_text(f"{name} ({unit.strip()})" if unit else name)


def _cell_text(result: CellResult, shades: _Shades) -> str:
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
