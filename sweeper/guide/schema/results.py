"""A study's measurements, as a guide shows them: cells, stages, curves, health and other outcomes. Frozen, plain."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweeper.records import Cell, Stage, TrialState
from trainer.recipe import METRICS, Frozen

Side = Literal["above", "below", "around", "unknown"]
_NAMES = "as recorded, <n> being the number of samples: " + ", ".join(
    metric.name + ("_<n>" if metric.counted else "")
    for metric in METRICS.values()
    if metric.guide in ("claimed", "shown")
)
# How the objective is averaged over seeds: older guides used arithmetic means, which do not match their changes.
Means = Literal["arithmetic", "geometric"]
Ink = Literal["baseline", "lowest", "highest", "marked"]


class Item(Frozen):
    """A named fact, e.g. of the protocol."""

    name: str
    value: str


class Change(Frozen):
    """A cell's objective relative to the baseline's on shared seeds; lower is better.

    `mean`, `low` and `high` are fractions (0.04 is 4 % more), the geometric mean and the 95 % t-interval of the
    paired difference of logarithms. In the screen each interval stands for one comparison; in the confirm stage the
    intervals of a table hold together. One seed has none.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def side(self) -> Side:
        """Where the interval lies, seen from the baseline."""
        if self.low is None or self.high is None:
            return "unknown"
        return "above" if self.low > 0 else "below" if self.high < 0 else "around"


class GeometricMean(Frozen):
    """A geometric mean over `n` seeds and its spread in the same units: the mean times the sd of the logarithm."""

    n: int
    mean: float
    sd: float | None = None


class GuidancePoint(Frozen):
    """One arm at one scale of guidance over fresh seeds; `change` of FID is to the baseline at this scale.

    FID is averaged as `Guide.means` says, precision and recall arithmetically.
    """

    scale: float
    fid: float
    precision: float | None = None
    recall: float | None = None
    change: Change | None = None
    against: float | None = None  # the baseline's FID on the same seeds


class GuidanceLength(Frozen):
    """One arm over the scales of guidance on the way, after `step` optimiser steps of the same trials."""

    step: int
    points: tuple[GuidancePoint, ...]


class GuidanceCurve(Frozen):
    """One arm over the scales of guidance, from FIDs of `samples`; the baseline has no changes.

    `best` is the scale of its lowest mean FID at the end; `change_at_best` compares that with the baseline at the
    baseline's own best scale, whose FID on the same seeds is `against_at_best`. Both scales are chosen on the seeds
    they are compared on: a description, no claim.
    """

    key: str
    label: str
    samples: int
    points: tuple[GuidancePoint, ...]
    best: float
    change_at_best: Change | None = None
    against_at_best: float | None = None
    lengths: tuple[GuidanceLength, ...] = ()  # rising, the end among them; none where it was measured at the end alone


class CellResult(Frozen):
    """One cell in one stage: the objective of its complete trials, and what became of the others.

    `mean` and `sd` are over `n` seeds, those that the arm shares with the baseline, as `change` is; `Guide.means`
    says which mean. `against` is the baseline's on the same seeds, None in guides of arithmetic means. `stopped_at`
    is the last step a stopped trial reached; `not_started` counts the pruned trials that were dropped before their
    first step; `floor_share` is the share of steps at the loss's floor, mean over the trials that came furthest, None
    without a Dispersive Loss; `train_s` are the seconds of training of the fastest complete trial; `audited`: the
    pruner would have stopped it.
    """

    key: str
    cell: Cell
    states: dict[TrialState, int]
    n: int
    mean: float | None = None
    sd: float | None = None
    stopped_at: int | None = None
    not_started: int = 0
    floor_share: float | None = None
    saturated: bool = False
    train_s: float | None = None
    audited: bool = False
    change: Change | None = None
    against: GeometricMean | None = None


class StageResult(Frozen):
    """All cells of a stage; `cells` are settings of the loss, `controls` arms that are compared with them."""

    stage: Stage
    seeds: tuple[int, ...]
    baseline: CellResult | None
    controls: tuple[CellResult, ...]
    cells: tuple[CellResult, ...]

    @property
    def rows(self) -> tuple[CellResult, ...]:
        """Everything that is compared with the baseline."""
        return (*self.controls, *self.cells)

    def count(self, side: Side) -> int:
        """How many settings' intervals lie there."""
        return sum(result.change is not None and result.change.side == side for result in self.cells)


class GridPage(Frozen):
    """Cells laid out as a table: keys by row and column, None where the study has no such cell."""

    title: str
    row_name: str
    column_name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    keys: tuple[tuple[str | None, ...], ...]


class CurvePoint(Frozen):
    """The objective at a rung: mean (`Guide.means` says which), lowest and highest over `n` seeds."""

    step: int
    n: int
    mean: float
    low: float
    high: float


class BlockHealth(Frozen):
    """Tokens after one block, at the last rung, mean over seeds."""

    block: int
    feature_norm: float | None
    norm_ratio: float | None
    effective_rank: float | None


class Highlight(Frozen):
    """A cell drawn in the plots, and why it was picked."""

    ink: Ink
    key: str
    label: str
    curve: tuple[CurvePoint, ...]
    blocks: tuple[BlockHealth, ...]


class Trace(Frozen):
    """How a cell of the main stage got where it is: its objective by step and its health by block, as a Highlight's."""

    key: str
    curve: tuple[CurvePoint, ...]
    blocks: tuple[BlockHealth, ...]


class CellHealth(Frozen):
    """What the loss did to a cell's representation at its last rung, mean over seeds.

    `norm_ratio`, `rank_ratio` and `alignment_ratio` are relative to the baseline at the same block and step, over the
    dispersed blocks; `uniformity_change` is the difference to it.
    """

    key: str
    step: int
    floor_share: float | None
    floor_distance: float | None
    norm_ratio: float | None
    effective_rank: float | None
    rank_ratio: float | None
    uniformity_change: float | None = None
    alignment_ratio: float | None = None


class RankCorrelation(Frozen):
    """Spearman's rho between a health figure and the mean objective, over `n` cells, with its 95 % interval.

    `chance` is how often cells whose figures were dealt at random would agree or disagree as much; earlier guides lack
    it.
    """

    name: str
    rho: float
    n: int
    low: float | None = None
    high: float | None = None
    chance: float | None = None


class Outcome(Frozen):
    """A metric of one cell: mean, spread and number of seeds; arithmetic, since some metrics may be 0 or less."""

    metric: str = Field(description=_NAMES)
    mean: float
    sd: float | None
    n: int


class OutcomeRow(Frozen):
    """The other outcomes of one cell."""

    key: str
    label: str
    outcomes: tuple[Outcome, ...]


class PriorArt(Frozen):
    """A published figure beside what this study saw at the same setting."""

    what: str
    published: str
    grade: str
    here: str


class KeptModel(Frozen):
    """A setting whose averaged weights outlived the study: an artifact of each trial's run in MLflow.

    `trials` are the keys of the trials, one a seed; `command` draws images from the first one's weights.
    """

    label: str
    stage: Stage
    seeds: tuple[int, ...]
    trials: tuple[str, ...]
    artifact: str
    command: str


class Cost(Frozen):
    """What the study took. Seconds are summed over trials; `slots` cohorts ran at once, None if not known.

    `other_s` are slot-seconds neither training nor evaluating: start-up, search, ledger, waiting.
    """

    wall_s: float
    states: dict[TrialState, int]
    train_s: float
    eval_s: float
    slots: int | None
    other_s: float | None
