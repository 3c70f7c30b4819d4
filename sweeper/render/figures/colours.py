"""The colours of a map: blue is better than lambda 0, red is worse, grey is within noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from sweeper.render.figures.map_cells import Shades

SHADES = 257
TICKS = (-0.6, -0.4, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0)


def norm(shades: Shades) -> Normalize:
    """From the best to the worst, lambda 0 in the middle."""
    return Normalize(-shades.end, shades.end)


def colours(shades: Shades) -> ListedColormap:
    """Blue to red, with all that is noise in one grey."""
    found = colormaps["RdBu_r"](np.linspace(0, 1, SHADES))
    quiet = np.abs(np.linspace(-shades.end, shades.end, SHADES)) <= shades.noise
    found[quiet] = to_rgba("#e4e4e4")
    return ListedColormap(found)


def colour_bar(canvas: Figure, panels: Sequence[Axes], shades: Shades, label: str) -> None:
    """Draw the scale of colours beside these panels, in per cent."""
    bar = canvas.colorbar(
        ScalarMappable(norm(shades), colours(shades)), ax=list(panels), extend="both" if shades.is_cut else "neither"
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
