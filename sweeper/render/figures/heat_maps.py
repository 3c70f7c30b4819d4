"""The study at a glance: heatmaps of a grid, or points where the knobs are continuous."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, GridPage
from sweeper.render.figures.style import Painted, log_norm, plain_log
from sweeper.text.numbers import figure

MOST_PAGES = 9
MOST_ANNOTATED = 12  # rows and columns


def overview(guide: Guide) -> Painted | None:
    """Draw the grid as heatmaps, or continuous knobs as points; None when nothing has finished, or of a single cell."""
    pages = guide.pages[:MOST_PAGES]
    means = [one.mean for one in guide.main.cells if one.mean]
    is_map = sum(bool(key) for page in guide.pages for row in page.keys for key in row) != 1
    if not means or min(means) <= 0 or not is_map:
        return None
    return _heatmaps(guide, pages, means) if pages else _scatter(guide)


def _heatmaps(guide: Guide, pages: tuple[GridPage, ...], means: list[float]) -> Painted | None:
    results = {one.key: one for one in guide.main.cells}
    across = min(3, len(pages))
    down = math.ceil(len(pages) / across)
    width, height = (_extent(max(len(side(page)) for page in pages)) for side in (_columns, _rows))
    canvas = Figure(
        figsize=(min(across * width * 1.1 + 1.6, 16), min(down * (height * 0.7 + 0.9), 14)), layout="constrained"
    )
    norm = log_norm(min(means), max(means))
    panels = canvas.subplots(down, across, squeeze=False)
    for panel, page in zip(panels.flat, pages, strict=False):
        _heatmap(panel, page, results, norm)
    for spare in panels.flat[len(pages) :]:
        spare.set_axis_off()
    bar = canvas.colorbar(ScalarMappable(norm, "viridis"), ax=list(panels.flat), label=guide.words(guide.objective))
    plain_log(bar.ax.yaxis)
    left_out = f"; {len(guide.pages) - len(pages)} more pages in guide.json" if len(guide.pages) > len(pages) else ""
    note = "mean over seeds, log colours, lower is better; below it the number of seeds; hatched: no finished trial"
    return Painted(canvas, f"{guide.words(guide.objective)} by setting", note + left_out)


def _columns(page: GridPage) -> tuple[str, ...]:
    return page.columns


def _rows(page: GridPage) -> tuple[str, ...]:
    return page.rows


def _extent(count: int) -> float:
    return max(1.6, min(count * 0.9, 11.0))


def _heatmap(axes: Axes, page: GridPage, results: dict[str, CellResult], norm: LogNorm) -> None:
    means = np.array([[(results[key].mean or np.nan) if key else np.nan for key in row] for row in page.keys])
    axes.set_facecolor("#d9d9d9")
    axes.patch.set(hatch="///", edgecolor="#9a9a9a")
    axes.imshow(means, cmap="viridis", norm=norm, aspect="auto")
    axes.set_title(page.title)
    _ticks(axes, page)
    if max(means.shape) > MOST_ANNOTATED:
        return
    for i, row in enumerate(page.keys):
        for j, key in enumerate(row):
            mean = means[i, j]
            dark = np.isfinite(mean) and float(norm(mean)) < 0.6
            box = None if np.isfinite(mean) else {"facecolor": "#d9d9d9", "edgecolor": "none", "pad": 1.5}
            text = _cell_text(results[key]) if key else ""
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


def _cell_text(result: CellResult) -> str:
    marks = (" ◦" if result.saturated else "") + (" †" if result.cell.mark else "")
    if result.mean is not None:
        return f"{figure(result.mean)}{marks}\nn = {result.n}"
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
