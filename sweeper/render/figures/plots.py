"""A guide's pictures, drawn from the guide and kept small, since they are committed with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult, Highlight, Means
from sweeper.render.figures.front_plot import front_plot
from sweeper.render.figures.heat_maps import overview
from sweeper.render.figures.sample_grids import SAME, TITLE, samples
from sweeper.render.figures.style import INKS, Painted, legend_label, log_norm, plain_log, shortened
from sweeper.render.guide_files import VECTORS, OwnFiles

LARGEST_FILE = 95_000  # bytes
MOST_INTERVALS = 40
MEANS: Mapping[Means, str] = {"arithmetic": "mean", "geometric": "geometric mean"}


class Plot(NamedTuple):
    """A picture beside the guide: the file's name, and what it shows."""

    file: str
    title: str
    note: str


def draw(guide: Guide, folder: Path, grids: Callable[[str], bytes | None] | None) -> dict[str, Plot]:
    """Draw into `folder` every picture there is data for, by name; earlier ones of those names are replaced.

    Without `grids` an earlier picture of samples is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = OwnFiles(folder)
    drawn: dict[str, Plot] = {}
    # A study's words may hold a '$', which is not a formula here.
    with matplotlib.rc_context({"font.size": 9.0, "axes.titlesize": 10.0, "text.parse_math": False}):
        painted = {
            "overview": overview(guide),
            "intervals": _intervals(guide),
            "curves": _curves(guide),
            "health": _health(guide),
            "front": front_plot(guide),
        }
        if grids is not None:
            painted["samples"] = samples(guide, grids)
        elif (folder / "samples.png").is_file():
            drawn["samples"] = Plot("samples.png", TITLE, SAME)
        for name, picture in painted.items():
            file = f"{name}.png"
            if picture:
                files.write(file, _png(picture.canvas))
                if name in VECTORS:
                    files.write(f"{name}.svg", _svg(picture.canvas))
                drawn[name] = Plot(file, picture.title, picture.note)
            else:
                files.remove(file)
                files.remove(f"{name}.svg")
    return drawn


def _svg(canvas: Figure) -> str:
    """A picture as vectors, for a talk or a paper, byte for byte the same each time."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sweeper"}):
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _png(canvas: Figure) -> bytes:
    FigureCanvasAgg(canvas)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return _small(buffer.getvalue())


def _small(png: bytes) -> bytes:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours, scale in ((256, 1.0), (128, 1.0), (64, 1.0), (64, 0.8), (64, 0.6), (32, 0.45)):
        size = (round(image.width * scale), round(image.height * scale))
        smaller = image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        smaller.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LARGEST_FILE:
            break
    return buffer.getvalue()


def _intervals(guide: Guide) -> Painted | None:
    stage = guide.confirm if guide.claims and guide.confirm else guide.main
    rows = [
        result
        for result in stage.rows
        if result.change and result.change.low is not None and result.change.high is not None
    ]
    if not rows or len(rows) > MOST_INTERVALS:
        return None
    canvas = Figure(figsize=(7.0, 0.9 + 0.27 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    widest = 1.5 * max(abs(result.change.mean) for result in rows if result.change) + 0.1
    for place, one in enumerate(reversed(rows)):
        assert one.change is not None
        low, high = max(one.change.low or 0.0, -1.0), one.change.high or 0.0
        shown = [100 * max(low, -widest), 100 * min(high, widest)]
        axes.plot(shown, [place, place], color="#0072B2", linewidth=2)
        for end, cut, arrow in ((shown[0], low < -widest, "<"), (shown[1], high > widest, ">")):
            if cut:
                axes.plot(end, place, arrow, color="#0072B2", markersize=8, clip_on=False)
        axes.plot(
            100 * one.change.mean, place, "o", color="white" if one.saturated else "#0072B2", markeredgecolor="#0072B2"
        )
    axes.axvline(0, color="black", linewidth=1)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(100 * max(-1.0, -widest), 100 * widest)
    axes.set_yticks(range(len(rows)), [_row_label(result) for result in reversed(rows)])
    axes.set_xlabel(f"change of {guide.words(guide.objective)} to the baseline, % (lower is better)")
    reach = "together" if stage.stage == "confirm" else "one comparison each"
    cut = any((result.change.high or 0.0) > widest for result in rows if result.change)
    note = f"geometric mean and 95 % t-interval over shared seeds, {reach}; hollow: at the floor of the loss"
    note += "; an arrow: the interval goes on" if cut else ""
    return Painted(
        canvas, f"Change to the baseline, {'fresh' if stage.stage == 'confirm' else 'screening'} seeds", note
    )


def _row_label(result: CellResult) -> str:
    return shortened(result.cell.label) + (" †" if result.cell.mark else "")


def _curves(guide: Guide) -> Painted | None:
    drawn = [
        highlight
        for highlight in guide.highlights
        if highlight.curve and all(point.low > 0 for point in highlight.curve)
    ]
    if not drawn:
        return None
    canvas = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = canvas.subplots()
    for one in drawn:
        steps = [point.step for point in one.curve]
        axes.plot(
            steps,
            [point.mean for point in one.curve],
            "o--" if one.ink == "baseline" else "o-",
            zorder=3 if one.ink == "baseline" else 2,
            color=INKS[one.ink],
            markersize=4,
            label=legend_label(one),
        )
        axes.fill_between(
            steps, [p.low for p in one.curve], [p.high for p in one.curve], color=INKS[one.ink], alpha=0.15
        )
    metric = guide.words(guide.rung_objective)
    axes.set(yscale="log", xlabel="step", ylabel=metric)
    axes.set_xticks(sorted({point.step for highlight in drawn for point in highlight.curve})[:12])
    plain_log(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)
    mean = MEANS[guide.means]
    note = f"line: {mean}; band: lowest to highest seed; picked by its mean on these very seeds, so not evidence"
    return Painted(canvas, f"{metric} by step", note)


def _health(guide: Guide) -> Painted | None:
    drawn = [highlight for highlight in guide.highlights if highlight.blocks]
    if not drawn:
        return None
    floors = any(result.floor_share is not None for result in guide.main.cells)
    canvas = Figure(figsize=(10.0 if floors else 7.0, 3.3), layout="constrained")
    panels = canvas.subplots(1, 3 if floors else 2, squeeze=False)[0]
    for one in drawn:
        _by_block(panels[0], one, [(b.block, b.feature_norm) for b in one.blocks])
        _by_block(panels[1], one, [(b.block, b.effective_rank) for b in one.blocks])
    panels[0].set(title="feature norm", yscale="log")
    plain_log(panels[0].yaxis)
    panels[1].set(title="effective rank")
    if floors:
        _floors(panels[2], guide)
    for panel in panels:
        panel.set_xlabel("block")
        panel.xaxis.get_major_locator().set_params(integer=True)
    canvas.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
    )
    note = "mean over seeds at the last rung; right: every setting at its dispersed blocks"
    return Painted(canvas, "Health of the representation by block", note)


def _by_block(axes: Axes, highlight: Highlight, points: list[tuple[int, float | None]]) -> None:
    known = [(block, value) for block, value in points if value is not None and value > 0]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "o--" if highlight.ink == "baseline" else "o-",
            zorder=3 if highlight.ink == "baseline" else 2,
            color=INKS[highlight.ink],
            markersize=4,
            label=legend_label(highlight),
        )


def _floors(axes: Axes, guide: Guide) -> None:
    lams = sorted({result.cell.dispersion.lam for result in guide.main.cells})
    norm = log_norm(lams[0], lams[-1])
    points = [
        (block, 100 * result.floor_share, result.cell.dispersion.lam)
        for result in guide.main.cells
        if result.floor_share is not None
        for block in result.cell.dispersion.blocks
    ]
    blocks, shares, colours = zip(*points, strict=True)
    axes.scatter(blocks, shares, c=colours, cmap="viridis", norm=norm, s=22, edgecolors="#444444", linewidths=0.4)
    axes.axhline(10, color="#777777", linestyle=":", linewidth=1)
    axes.set(title="steps at the floor, %", ylim=(-4, 104))
    if len(lams) > 1:
        plain_log(axes.figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, label="lambda").ax.yaxis)
