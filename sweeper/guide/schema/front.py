"""A guide's front: what settings and control arms trade between the study's objectives."""

from __future__ import annotations

from typing import Literal

from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Standing
from sweeper.records import Stage
from trainer.recipe import Better, Frozen

# An arm against lambda 0, by what the fresh seeds confirm in each objective.
Sure = Literal["better", "a trade", "dominated", "worse in one", "open"]


class FrontObjective(Frozen):
    """An objective: its recorded name, 'train_flops' or 'train_s' for the cost, and the better direction."""

    metric: str
    better: Better


class FrontChange(Frozen):
    """An arm in one objective: its `change` to lambda 0, and `standing` and `bound` of the claim about it, if any.

    `change` is of the metric itself, and has an interval where a claim is made; the cost's is of the cheapest trial.
    `level` is lambda 0's own: a geometric mean, operations or seconds.
    """

    change: Change | None = None
    standing: Standing | None = None
    bound: float | None = None
    level: float | None = None


class FrontRow(Frozen):
    """An arm; `changes` are in the order of the objectives.

    `free`: no other arm of its stage dominates it, by their means; None if it lacks a mean and was not compared. `sure`
    is what the claims say about it, None in the screen.
    """

    key: str
    label: str
    stage: Stage
    changes: tuple[FrontChange, ...]
    free: bool | None
    sure: Sure | None = None


class Front(Frozen):
    """The arms of the confirm stage once it is finished, and of the screen those that no other arm dominates."""

    objectives: tuple[FrontObjective, ...]
    rows: tuple[FrontRow, ...]

    @property
    def judged(self) -> tuple[FrontRow, ...]:
        """The arms on fresh seeds or, before those, the screen's."""
        return tuple(row for row in self.rows if row.stage == self.rows[0].stage)
