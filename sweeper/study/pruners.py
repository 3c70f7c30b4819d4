"""The pruners a screen can have: what each stops, and how a guide describes it. What they do is in `sweeper.search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Pruner = Literal["race", "none", "median", "halving", "hyperband", "wilcoxon"]


class PrunerFacts(NamedTuple):
    """`stops` whole cells, over all their seeds together, or trial by trial."""

    stops: Literal["cells", "trials", "nothing"]
    words: str


PRUNERS: Mapping[Pruner, PrunerFacts] = {
    "race": PrunerFacts(
        "cells",
        "race: whole settings, over all seeds together, never the baseline, only after half of the steps and only "
        "when clearly behind the second best: by more than chance allows on the seeds they share (Student's t at the "
        "tail of three standard errors), and before the end also by more than finished trials changed places since "
        "that rung",
    ),
    "none": PrunerFacts("nothing", "none: every trial runs to its end"),
    "median": PrunerFacts(
        "trials", "Optuna's MedianPruner, trial by trial: stopped when worse than the median at its rung"
    ),
    "halving": PrunerFacts(
        "trials", "Optuna's SuccessiveHalvingPruner, trial by trial: the better half of each rung goes on"
    ),
    "hyperband": PrunerFacts("trials", "Optuna's HyperbandPruner, trial by trial: several halvings side by side"),
    "wilcoxon": PrunerFacts(
        "cells",
        "Optuna's WilcoxonPruner on whole settings: stopped when worse than the lowest, by a signed-rank test "
        "over seeds",
    ),
}
