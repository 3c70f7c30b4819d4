"""The heuristics table: each knob's value to use, safe range and cost of a step; and the map below it."""

from __future__ import annotations

from typing import Literal

from sweeper.guide.schema.results import Change
from sweeper.study.knobs import in_words
from trainer.recipe import Frozen

# A level of a knob: the value to use; safe to take instead; open, which is neither; or costing more than the margin.
Reach = Literal["use", "safe", "open", "costs"]
# The reference of a row's costs: the setting to use, lambda 0, or the knob's own lowest level.
Against = Literal["setting", "lambda 0", "lowest"]


class LevelCost(Frozen):
    """What a level of a knob costs against the row's reference, from the screen's surface.

    `cost` holds its interval together with the row's others, at 95 %; `within` is the probability that it is at most
    the margin. Without a surface both are None, and fresh seeds alone decide the reach.
    """

    level: str
    reach: Reach
    cost: Change | None = None
    within: float | None = None


class Heuristic(Frozen):
    """A row of the table: one knob that the study sweeps.

    `ordered` tells whether levels between two safe ones can be taken to be safe as well. `idle` says why the knob has
    nothing to set or compare; `units` are tau's where they are not plain. The last four are the row's words.
    """

    knob: str
    ordered: bool
    against: Against
    levels: tuple[LevelCost, ...]
    idle: str = ""
    units: str = ""
    use: str = ""
    safe: str = ""
    step: str = ""
    fresh: str = ""
    grade: str = ""

    @property
    def words(self) -> str:
        """The knob's name for readers."""
        return f"{in_words(self.knob)} ({self.units})" if self.units else in_words(self.knob)

    def having(self, *reaches: Reach) -> tuple[str, ...]:
        """Return the levels of these reaches, in order."""
        return tuple(level.level for level in self.levels if level.reach in reaches)


class MapCell(Frozen):
    """A setting on the surface: its change against lambda 0, whose interval holds for all finished settings together.

    `near_best` is the probability that it lies within the margin of the best of them and lambda 0.
    """

    key: str
    change: Change
    near_best: float


class Heuristics(Frozen):
    """The table and the map. `use` is the key of the setting to use; `reason` says why there is no surface, if so."""

    use: str
    rows: tuple[Heuristic, ...] = ()
    cells: tuple[MapCell, ...] = ()
    reason: str = ""

    def row(self, knob: str) -> Heuristic | None:
        """Return a knob's row, if it has one."""
        return next((row for row in self.rows if row.knob == knob), None)
