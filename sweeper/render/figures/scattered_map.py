"""The map of settings that form no grid: points by lambda and tau, a panel a block, coloured as the maps of a grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult
from sweeper.render.figures.colours import colour_bar, colours, norm
from sweeper.render.figures.map_cells import Shades, explained, marks_on, shades_of
from sweeper.render.figures.style import Painted, plain_log
from sweeper.study.blocks import block_name
from sweeper.text.numbers import percent, signed

MOST_PANELS, ACROSS = 6, 3
MOST_ANNOTATED = 10  # points of a panel whose change is written beside them
NEAR = 0.9  # ringed: as likely as that near the best


def scattered_map(guide: Guide) -> Painted | None:
    """Draw the settings of a random search or of tpe; None where no setting has a change to lambda 0."""
    cells = [result for result in guide.main.cells if result.mean is not None or result.stopped_at is not None]
    shades = shades_of(guide, {result.key for result in cells})
    if not shades.change:
        return None
    counts = Counter(result.cell.dispersion.blocks for result in cells if result.key in shades.change)
    shown = sorted(blocks for blocks, _ in counts.most_common(MOST_PANELS))
    across = min(ACROSS, len(shown))
    down = math.ceil(len(shown) / across)
    canvas = Figure(figsize=(1.6 + 3.6 * across, 0.6 + 3.0 * down), layout="constrained")
    panels = canvas.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for panel, blocks in zip(panels.flat, shown, strict=False):
        _panel(panel, [result for result in cells if result.cell.dispersion.blocks == blocks], shades)
        panel.set_title(f"block {block_name(blocks, guide.places)}")
    for spare in panels.flat[len(shown) :]:
        spare.set_axis_off()
    for axis in (panels.flat[0].xaxis, panels.flat[0].yaxis):
        plain_log(axis)
    colour_bar(canvas, list(panels.flat), shades, "against lambda 0")
    title = f"{guide.words(guide.objective)} against lambda 0, by lambda, tau and block"
    return Painted(canvas, title, _note(guide, shades, cells, len(counts) - len(shown)))


def _panel(axes: Axes, cells: Sequence[CellResult], shades: Shades) -> None:
    known = [result for result in cells if result.key in shades.change]
    stopped = [result for result in cells if result.key not in shades.change]
    axes.set(xscale="log", yscale="log", xlabel="lambda", ylabel="tau")
    axes.margins(0.14)  # what is written beside a point at the edge stays inside
    axes.scatter(*_places(stopped), s=14, marker="x", c="#9a9a9a", linewidths=0.8)
    near = [shades.near.get(result.key, 0.0) >= NEAR for result in known]
    axes.scatter(
        *_places(known),
        c=[shades.change[result.key] for result in known],
        cmap=colours(shades),
        norm=norm(shades),
        s=46,
        edgecolors=["black" if here else "#8a8a8a" for here in near],
        linewidths=[1.8 if here else 0.5 for here in near],
    )
    for one in known if len(known) <= MOST_ANNOTATED else ():
        marks = (" ◦" if one.saturated else "") + (" †" if one.cell.mark else "")
        place = (one.cell.dispersion.lam, one.cell.dispersion.tau)
        text = f"{signed(math.expm1(shades.change[one.key]))} %{marks}"
        axes.annotate(text, place, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7)


def _places(cells: Sequence[CellResult]) -> tuple[list[float], list[float]]:
    return [result.cell.dispersion.lam for result in cells], [result.cell.dispersion.tau for result in cells]


def _note(guide: Guide, shades: Shades, cells: Sequence[CellResult], hidden: int) -> str:
    parts = [f"a point a setting, {explained(guide, shades)}"]
    if any(shades.near.get(result.key, 0.0) >= NEAR for result in cells):
        parts.append(
            f"black ring: within {percent(guide.seeds.margin)} of the best, with a probability of {percent(NEAR)}"
        )
    if any(result.key not in shades.change for result in cells):
        parts.append("x: stopped early, or not among the settings of the surface")
    if hidden:
        parts.append(f"{hidden} more blocks in guide.json")
    return "; ".join(parts) + marks_on(guide, {result.key for result in cells})
