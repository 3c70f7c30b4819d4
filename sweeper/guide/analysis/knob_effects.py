"""Effects of block, lambda and tau: a test for interaction first, and only without one each knob by itself.

From the screen, so never a claim. Tests of block and tau leave out saturated settings: at the floor the loss has no
gradient, whatever block and tau are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from typing import Any, NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.stage_table import Evidence, StageTable
from sweeper.guide.schema.statements import Interaction, KnobEffect, KnobLevel
from sweeper.statistics import factors
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.factors import Factor, FTest, Level, Vector
from sweeper.study import Confirm
from sweeper.study.knobs import BLOCK, KNOBS, TAU, VARIANT, Knob, level
from trainer.recipe import Dispersion

# Where the noise of settings differs two- to five-fold, the F-test is wrong twice as often as its level says.
REJECTED = 0.025
FEWEST_DF = 3  # of the error: on one or two, an F of thousands says little
MOST_LEVELS = 24
INTERACTING = (BLOCK, TAU)  # where they interact, neither has an effect of its own to report


class Observations(NamedTuple):
    """Complete trials of some settings: log objective, seed and knobs of each."""

    y: Vector
    seeds: list[Hashable]
    knobs: dict[str, list[Hashable]]
    settings: int

    def factor(self, name: str) -> Factor:
        """A knob's levels, trial by trial."""
        return Factor(name, self.knobs[name])

    def levels(self, name: str) -> int:
        """How many levels a knob has."""
        return len(set(self.knobs[name]))

    def crossed(self, row: Knob, column: Knob) -> FTest | None:
        """Test whether two knobs interact, within every level of all others; None where the data cannot tell."""
        others = (values for name, values in self.knobs.items() if name not in (row.name, column.name))
        pages = list(zip(*others, strict=True))
        tested = factors.interaction(self.y, self.seeds, pages, self.factor(row.name), self.factor(column.name))
        return tested if tested and tested.df_residual >= FEWEST_DF else None


def interaction(known: Evidence, on_grid: Collection[str], saturated: Collection[str]) -> Interaction:
    """Test whether the best tau depends on the block, on the grid's unsaturated settings that ran to their end."""
    seen = observe(known, set(on_grid) - set(saturated))
    if seen.settings == 0:
        return Interaction(reason=_nothing_to_test(known, on_grid))
    with_tau = observe(known, {key for key in set(on_grid) - set(saturated) if acts(known, key, TAU)})
    seen = with_tau if with_tau.settings else seen
    if min(seen.levels(knob.name) for knob in INTERACTING) < 2:
        return Interaction(reason="the unsaturated settings do not vary both block and tau", settings=seen.settings)
    crossed = seen.crossed(*INTERACTING)
    if crossed is None:
        return Interaction(reason="too few settings and seeds to test it", settings=seen.settings)
    f, df, rest, p, _ = crossed
    return Interaction(f=f, df=df, df_residual=rest, p=p, rejects=p < REJECTED, settings=seen.settings)


def _nothing_to_test(known: Evidence, on_grid: Collection[str]) -> str:
    if not on_grid and any(cell.role == "grid" for cell in known.cells.values()):
        return "these settings form no grid"
    if observe(known, on_grid).settings == 0:
        return "no setting of the grid has finished on every seed"
    return "every setting that finished on every seed is saturated"


def knobs(
    known: Evidence, on_grid: Collection[str], saturated: Collection[str], tested: Interaction
) -> tuple[KnobEffect, ...]:
    """Compare the levels of every knob that varies; block and tau only where no interaction was found."""
    effects = []
    for knob in KNOBS:
        shown = set(on_grid) - set(saturated) if knob.needs_gradient else set(on_grid)
        seen = observe(known, {key for key in shown if acts(known, key, knob)})
        if 2 <= seen.levels(knob.name) <= MOST_LEVELS and not (tested.rejects and knob in INTERACTING):
            effects.append(_effect(known, seen, knob))
    return tuple(effect for effect in effects if effect.levels)


def _effect(known: Evidence, seen: Observations, knob: Knob) -> KnobEffect:
    # A variant may lack a knob: the placeholder for "none" would then be confounded with the variant.
    variants: set[Any] = {*seen.knobs[VARIANT.name]}
    lacking = {other.name for other in KNOBS if not all(map(other.applies, variants))}
    hidden = {knob.name, *(lacking if knob is VARIANT else ())}
    others = [seen.knobs[other] for other in seen.knobs if other not in hidden and seen.levels(other) > 1]
    blocks = [seen.seeds, *others]
    test = factors.effect(seen.y, blocks, seen.factor(knob.name))
    levels = factors.levels(seen.y, seen.seeds, others, seen.factor(knob.name), INTERVAL_ALPHA)
    margin, n = math.log1p((known.study.confirm or Confirm()).margin), len(seen.y)
    said = tuple(_level(known, compared, margin, n) for compared in levels)
    return KnobEffect(name=knob.name, p=test.p if test else None, levels=said)


def _level(known: Evidence, compared: Level, margin: float, n: int) -> KnobLevel:
    if compared.difference == 0:
        reach = "lowest"
    elif compared.high <= margin:
        reach = "within the margin"
    else:
        reach = "beyond the margin" if compared.low > margin else "open"
    return KnobLevel(
        level=_said(known, compared.level),
        change=change_of(n, compared.difference, compared.low, compared.high),
        reach=reach,
    )


def level_of(known: Evidence, key: str, knob: str) -> str:
    """Name the level of a knob that a setting has, as `KnobLevel.level` does."""
    return _said(known, _values(known.cells[key].dispersion)[knob])


def _said(known: Evidence, value: Hashable) -> str:
    return level(value, known.study.recipe.model.taps)


def _values(setting: Dispersion) -> dict[str, Hashable]:
    """Return the value of every knob, with a placeholder for none, since each needs a level."""
    return {knob.name: getattr(setting, knob.field) for knob in KNOBS}


def observe(known: Evidence, wanted: Collection[str]) -> Observations:
    """Gather the trials of these settings, of those that ran to their end on every seed."""
    main = known.main
    rows = [] if main is None else [key for key in main.keys if key in wanted and is_whole(main, key)]
    y, seeds, cells = [], [], []
    logs = main.logs() if main else np.empty((0, 0))
    for key in rows:
        assert main is not None
        for place in np.flatnonzero(np.isfinite(logs[main.row[key]])):
            y.append(float(logs[main.row[key], place]))
            seeds.append(main.seeds[int(place)])
            cells.append(known.cells[key].dispersion)
    values = {cell: _values(cell) for cell in cells}
    seen = [values[cell] for cell in cells]
    return Observations(
        np.array(y),
        list(seeds),
        {knob.name: [value[knob.name] for value in seen] for knob in KNOBS},
        len(rows),
    )


def acts(known: Evidence, key: str, knob: Knob) -> bool:
    """Whether a knob does anything for a setting."""
    return knob.of(known.cells[key].dispersion) is not None


def is_whole(main: StageTable, key: str) -> bool:
    """Whether a setting ran to its end on every seed: a stopped trial has no score, and its other seeds are lucky."""
    return set(main.states(key)) == {"complete"} and not main.audited(key)
