"""The data that a page's script reads: words as they are shown, and numbers where something is drawn."""

from __future__ import annotations

from sweeper.render.figures.map_cells import Tone
from trainer.recipe import Frozen

Point = tuple[int, float, float, float]  # step, mean, lowest, highest seed
Block = tuple[int, float | None, float | None]  # block, feature norm, effective rank


class Axis(Frozen):
    """An axis of the parallel coordinates: a knob's `levels` in reading order, or numbers, on a `log` scale or not.

    `span` is what numbers can be at all, where the axis shows that.
    """

    name: str
    levels: tuple[str, ...] | None = None
    log: bool = False
    span: tuple[float, float] | None = None


class PageTrace(Frozen):
    """A cell's objective by step and its health by block."""

    curve: tuple[Point, ...] = ()
    blocks: tuple[Block, ...] = ()


class PageCell(PageTrace):
    """A setting or control arm: `facts` are named figures as text, `at` is its place on every axis.

    On a knob's axis the place is the index of its level; None where the cell has none.
    """

    key: str
    label: str
    tone: Tone
    is_control: bool
    facts: tuple[tuple[str, str], ...]
    at: tuple[float | None, ...]


class PageGuidance(Frozen):
    """A table by scale of guidance: for every scale a row an arm, under `header`."""

    header: tuple[str, ...]
    scales: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]


class PageSamples(Frozen):
    """Grids of one seed: base64 of a PNG by a cell's key, and the baseline's."""

    seed: int
    baseline: str
    grids: dict[str, str]


class PageData(Frozen):
    """All that the script draws: cells over the `seeds` of the main stage, 'screening' or 'fresh'.

    `first` is the key of the cell it begins with, `left_out` counts settings beyond.
    """

    curve_metric: str
    seeds: str
    axes: tuple[Axis, ...]
    baseline: PageTrace | None
    cells: tuple[PageCell, ...]
    first: str
    left_out: int = 0
    guidance: PageGuidance | None = None
    samples: PageSamples | None = None
