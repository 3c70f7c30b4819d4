"""A setting's shade and text on a map, whether the map is a picture or a table of the page."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import CellResult
from sweeper.text.numbers import figure, percent, share, signed

TWO_SIDED = 1.96
WIDEST = math.log(1.5)  # colours saturate here, unless noise is larger
Tone = Literal["better", "worse", "noise", "unknown"]


class Shades(NamedTuple):
    """How far settings lie from lambda 0: log ratios by key, what of them is noise, and where colours end.

    `near` are the probabilities of lying within the margin of the best.
    """

    change: dict[str, float]
    near: dict[str, float]
    noise: float
    end: float
    is_cut: bool

    def tone(self, key: str) -> Tone:
        """Return which side of lambda 0 a setting lies on, or that the difference is within noise."""
        change = self.change.get(key)
        if change is None:
            return "unknown"
        return "noise" if abs(change) <= self.noise else "worse" if change > 0 else "better"

    def depth(self, key: str) -> float:
        """Return how deep a setting's colour is, from 0 to 1."""
        return min(1.0, abs(self.change.get(key, 0.0)) / self.end)


def shades_of(guide: Guide, keys: Iterable[str]) -> Shades:
    """Work out the shades of a map from its own settings: one beside the grid may be ten times worse."""
    on_map = set(keys)
    known = {cell.key: cell.change.mean for cell in guide.heuristics.cells} or {
        result.key: result.change.mean for result in guide.main.cells if result.change
    }
    change = {key: math.log1p(mean) for key, mean in known.items() if key in on_map and mean > -1}
    seeds = max((result.n for result in guide.main.cells), default=1)
    noise = TWO_SIDED * (guide.seeds.difference_sd or 0.0) / max(seeds, 1) ** 0.5
    widest = max(map(abs, change.values()), default=0.0)
    end = max(min(widest, max(4 * noise, WIDEST)), 1.25 * noise, 0.01)
    near = {cell.key: cell.near_best for cell in guide.heuristics.cells}
    return Shades(change, near, noise, end, widest > end)


def map_words(result: CellResult, shades: Shades) -> str:
    """Write a setting's change and probability, one a line, or what became of it."""
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


def map_note(guide: Guide, shades: Shades) -> str:
    """Explain the colours, figures and signs of a grid's map."""
    on_map = [result.key for result in guide.main.cells if result.key not in guide.off_grid]
    margin = percent(guide.seeds.margin)
    near = (
        f"; P: the probability of lying within {margin} of the best of all settings and lambda 0"
        if guide.heuristics.cells
        else ""
    )
    unknown = "; hatched: no finished trial" if any(shades.tone(key) == "unknown" for key in on_map) else ""
    return f"{explained(guide, shades)}{near}{unknown}{marks_on(guide, on_map)}"


def explained(guide: Guide, shades: Shades) -> str:
    """Say where the colours come from and what they mean."""
    source = "the screen alone, by a model fitted to all of it" if guide.heuristics.cells else "mean over seeds"
    noise = f", grey is within noise ({share(math.expm1(shades.noise))})" if shades.noise else ""
    return f"{source}: blue is better than lambda 0, red is worse{noise}"


def marks_on(guide: Guide, on_map: Collection[str]) -> str:
    """Explain the signs of saturated and marked settings that are on a map."""
    here = [result for result in guide.main.cells if result.key in on_map]
    saturated = any(result.saturated for result in here)
    signs = "; ◦: saturated, at the floor of the loss for more than 10 % of steps" if saturated else ""
    marks = sorted({result.cell.mark for result in here if result.cell.mark})
    return signs + (f"; †: {', '.join(marks)}" if marks else "")
