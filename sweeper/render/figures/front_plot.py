"""The picture of a guide's front: what each arm gains or loses in the objective, and in each second one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeper.guide.schema.front import Front, FrontChange, FrontObjective, FrontRow, Sure
from sweeper.guide.schema.guide import Guide
from sweeper.render.figures.style import Painted, shortened
from sweeper.study.second_objectives import objective_name

MOST_NAMED = 8
OPEN = "#777777"
COLOURS: Mapping[Sure, str] = {
    "better": "#0072B2",
    "a trade": "#E69F00",
    "dominated": "#AA0033",
    "worse in one": "#CC79A7",
    "open": OPEN,
}


def front_plot(guide: Guide) -> Painted | None:
    """Draw the arms of the stage that the front is of, a panel a second objective; None without a front."""
    front = guide.front
    if front is None or len(front.judged) < 2:
        return None
    first, *others = front.objectives
    canvas = Figure(figsize=(1.0 + 4.2 * len(others), 3.8), layout="constrained")
    panels = canvas.subplots(1, len(others), squeeze=False)[0]
    for place, (axes, other) in enumerate(zip(panels, others, strict=True), 1):
        _panel(axes, front, place)
        axes.set_xlabel(_axis(guide, first))
        axes.set_ylabel(_axis(guide, other))
    is_fresh = front.judged[0].stage == "confirm"
    colours = (
        "blue: confirmed better, orange: a trade, red: dominated by lambda 0, pink: confirmed worse in one, grey: "
        "nothing confirmed"
    )
    sure = colours if is_fresh else "screening, no claim"
    note = f"means, intervals cut at the edge; diamond: lambda 0; filled: no other arm is better in everything; {sure}"
    return Painted(canvas, f"Several objectives, {'fresh' if is_fresh else 'screening'} seeds", note)


def _axis(guide: Guide, objective: FrontObjective) -> str:
    name = objective_name(objective.metric, guide.distance)
    return f"change of {name} to lambda 0, %\n({objective.better} is better)"


def _panel(axes: Axes, front: Front, place: int) -> None:
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axvline(0, color="black", linewidth=0.6)
    named = sorted(front.judged, key=lambda row: not row.free)[:MOST_NAMED]
    for row in front.judged:
        x, y = row.changes[0], row.changes[place]
        if x.change is None or y.change is None:
            continue
        colour = "black" if row.key == "baseline" else COLOURS[row.sure or "open"]
        at = 100 * x.change.mean, 100 * y.change.mean
        axes.errorbar(
            *at,
            xerr=_reach(x),
            yerr=_reach(y),
            fmt="D" if row.key == "baseline" else "o",
            color=colour,
            markerfacecolor=colour if row.free else "white",
            markersize=6,
            linewidth=1,
        )
        if place == 1 and row in named:  # the other panels have the same x
            axes.annotate(_label(row), at, xytext=(6, 4), textcoords="offset points", fontsize=7)
    _fit(axes, [row for row in front.judged if row.changes[0].change and row.changes[place].change], place)


def _fit(axes: Axes, rows: Sequence[FrontRow], place: int) -> None:
    """Let the means fill the panel: an interval that reaches far beyond them is cut by its edge."""
    for fit, at in ((axes.set_xlim, 0), (axes.set_ylim, place)):
        means = [0.0, *(100 * change.mean for row in rows if (change := row.changes[at].change))]
        margin = 0.4 * (max(means) - min(means)) or 1.0
        fit(min(means) - margin, max(means) + margin)


def _label(row: FrontRow) -> str:
    return "lambda 0" if row.key == "baseline" else shortened(row.label)


def _reach(own: FrontChange) -> list[list[float]] | None:
    """Return how far an interval goes to both sides of the mean, in per cent; None where there is none."""
    change = own.change
    if change is None or change.low is None or change.high is None:
        return None
    return [[100 * (change.mean - change.low)], [100 * (change.high - change.mean)]]
