"""The contents of a crossing: studies of the same settings, whose recipes differ in one field or more."""

from __future__ import annotations

from sweeper.guide.schema.results import Change
from trainer.recipe import Frozen

CROSSING_FILE = "crossing.json"


class Crossed(Frozen):
    """One study: its values of the fields that differ, its baseline, and its setting with the lowest fresh mean.

    `mean` is the geometric mean of the objective at lambda 0 over `n` seeds of the screen, `sd` the standard deviation
    there. `setting` is empty where nothing was tested on fresh seeds; `standing` and `bound` are of the claim about it.
    """

    study: str
    values: tuple[str, ...]
    headline: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    setting: str = ""
    change: Change | None = None
    bound: float | None = None
    standing: str = ""

    @property
    def place(self) -> str:
        """The values in a sentence."""
        return ", ".join(self.values)


class KnobCrossing(Frozen):
    """A knob in every study: each level's change against the study's own lambda 0, in the screen.

    `changes` has a row for each level and a column for each study, over the settings that all have. The F-test asks
    whether the knob's effect differs between the studies; `adjusted` is its p by Holm over the knobs, and `reason` says
    why there is none.
    """

    knob: str
    words: str
    levels: tuple[str, ...]
    changes: tuple[tuple[Change | None, ...], ...]
    p: float | None = None
    adjusted: float | None = None
    size: float | None = None
    reason: str = ""

    def lowest(self, study: int) -> str | None:
        """Return the level with the lowest mean in a study."""
        known = [
            (row[study].mean, level)  # type: ignore[union-attr]
            for level, row in zip(self.levels, self.changes, strict=True)
            if row[study]
        ]
        return min(known)[1] if known else None


class Crossing(Frozen):
    """All that the page says. `fields` are the recipe's fields that differ, `settings` those that all studies have."""

    title: str
    fields: tuple[str, ...]
    metric: str
    studies: tuple[Crossed, ...]
    settings: int
    seeds: int
    knobs: tuple[KnobCrossing, ...]
    headline: str
    points: tuple[str, ...]
    unused: tuple[tuple[str, str], ...] = ()
