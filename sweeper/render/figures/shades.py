"""The colours of a map: blue is better than lambda 0, red is worse, and what is within noise is one grey."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from sweeper.guide.schema.guide import Guide
from sweeper.text.numbers import percent, share

TWO_SIDED = 1.96
WIDEST = math.log(1.5)  # colours end here, unless noise is larger: beyond, worse is only worse
SHADES = 257
TICKS = (-0.6, -0.4, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0)


class Shades(NamedTuple):
    """Log ratio to lambda 0 by key, how likely each is near the best; what of it is noise, and where colours end."""

    change: dict[str, float]
    near: dict[str, float]
    noise: float
    end: float
    is_cut: bool

    @property
    def norm(self) -> Normalize:
        """From the best to the worst, lambda 0 in the middle."""
        return Normalize(-self.end, self.end)

    @property
    def colours(self) -> ListedColormap:
        """Blue to red, with all that is noise in one grey."""
        colours = colormaps["RdBu_r"](np.linspace(0, 1, SHADES))
        quiet = np.abs(np.linspace(-self.end, self.end, SHADES)) <= self.noise
        colours[quiet] = to_rgba("#e4e4e4")
        return ListedColormap(colours)


def shades_of(guide: Guide, on_map: Collection[str]) -> Shades:
    """Work out the colours from what is on the map alone: a setting beside the grid may be ten times worse."""
    known = {one.key: one.change.mean for one in guide.heuristics.cells} or {
        one.key: one.change.mean for one in guide.main.cells if one.change
    }
    change = {key: math.log1p(mean) for key, mean in known.items() if key in on_map and mean > -1}
    seeds = max((one.n for one in guide.main.cells), default=1)
    noise = TWO_SIDED * (guide.seeds.difference_sd or 0.0) / max(seeds, 1) ** 0.5
    widest = max(map(abs, change.values()), default=0.0)
    end = max(min(widest, max(4 * noise, WIDEST)), 1.25 * noise, 0.01)
    near = {one.key: one.near_best for one in guide.heuristics.cells}
    return Shades(change, near, noise, end, widest > end)


def colour_bar(canvas: Figure, panels: Sequence[Axes], shades: Shades, label: str) -> None:
    """Draw the scale of colours beside these panels, in per cent."""
    bar = canvas.colorbar(
        ScalarMappable(shades.norm, shades.colours), ax=list(panels), extend="both" if shades.is_cut else "neither"
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


def explained(guide: Guide, shades: Shades) -> str:
    """Say where the colours come from and what they mean."""
    source = "by the surface over the whole screen" if guide.heuristics.cells else "mean over seeds"
    noise = f", grey is within noise ({share(math.expm1(shades.noise))})" if shades.noise else ""
    return f"{source}: blue is better than lambda 0, red is worse{noise}"


def near_best(guide: Guide) -> str:
    """Explain the probability beside a change; empty where there is none."""
    return (
        f"P: the probability of lying within {percent(guide.seeds.margin)} of the best"
        if guide.heuristics.cells
        else ""
    )


def marks_on(guide: Guide, on_map: Collection[str]) -> str:
    """Explain the signs of saturated and marked settings that are on a map."""
    here = [one for one in guide.main.cells if one.key in on_map]
    saturated = any(one.saturated for one in here)
    signs = "; ◦: saturated, at the floor of the loss for more than 10 % of steps" if saturated else ""
    marks = sorted({one.cell.mark for one in here if one.cell.mark})
    return signs + (f"; †: {', '.join(marks)}" if marks else "")
