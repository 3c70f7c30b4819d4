"""Style shared by all pictures: colours safe for colour-blind readers, labels of axes and curves."""

from __future__ import annotations

import math
from typing import NamedTuple

from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from sweeper.guide.schema.results import Highlight, Ink
from sweeper.text.untrusted import visible

# Okabe & Ito's palette: distinct in every kind of colour vision.
INKS: dict[Ink, str] = {"baseline": "#000000", "lowest": "#0072B2", "marked": "#E69F00", "highest": "#D55E00"}
WHY: dict[Ink, str] = {
    "baseline": "baseline",
    "lowest": "lowest mean of the screen",
    "marked": "marked cell",
    "highest": "highest mean seen",
}
LONGEST = 48


class Painted(NamedTuple):
    """A picture not yet saved, with its title and what a reader must know about it."""

    canvas: Figure
    title: str
    note: str


def shortened(label: str) -> str:
    """Cut a label that would crowd a picture; its words are no formula."""
    plain = visible(label)
    return (plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…").replace("$", r"\$")


def legend_label(highlight: Highlight) -> str:
    """Describe which cell a curve shows, and why it was picked."""
    label = shortened(highlight.label)
    return label if highlight.ink == "baseline" else f"{WHY[highlight.ink]}: {label}"


def log_norm(low: float, high: float) -> LogNorm:
    """Map positive values to colours on a log scale; a single value is allowed."""
    return LogNorm(low, high if high > low * 1.01 else low * 1.01)


def plain_log(axis: Axis) -> None:
    """Write a log axis in plain numbers: every minor tick within a decade, 2 and 5 of each up to two decades."""
    low, high = sorted(axis.get_view_interval())
    span = high / low if low > 0 else math.inf
    minor = FuncFormatter(_plain) if span <= 10 else FuncFormatter(_two_and_five) if span <= 100 else NullFormatter()
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(minor)


def _plain(value: float, _place: int | None) -> str:
    return f"{value:g}"


def _two_and_five(value: float, place: int | None) -> str:
    return _plain(value, place) if f"{value:e}"[0] in "25" else ""
