"""What block, lambda and tau do by themselves: interaction first, and only without it a knob at a time.

From the screen, so never a claim. Saturated settings are left out where block and tau are concerned: at the floor
the loss has no gradient, whatever they are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.stage_table import Evidence, StageTable
from sweeper.guide.schema.statements import Interaction, Knob, KnobLevel
from sweeper.statistics import factors
from sweeper.statistics.factors import Factor, Level, Vector
from sweeper.statistics.levels import INTERVAL_ALPHA
from sweeper.study import Confirm, block_name
from trainer.recipe import VARIANTS, Dispersion

REJECTED = 0.05
MOST_LEVELS = 24


class _Observations(NamedTuple):
    # Complete trials of settings: log objective, seed, page (lambda, variant), and the knobs of each.
    y: Vector
    seeds: list[Hashable]
    pages: list[Hashable]
    knobs: dict[str, list[Hashable]]
    settings: int

    def factor(self, name: str) -> Factor:
        return Factor(name, self.knobs[name])

    def levels(self, name: str) -> int:
        return len(set(self.knobs[name]))


def interaction(known: Evidence, on_grid: Collection[str], saturated: Collection[str]) -> Interaction:
    """Test whether the best tau depends on the block, on the grid's unsaturated settings that ran to their end."""
    seen = _observe(known, set(on_grid) - set(saturated))
    if seen.settings == 0:
        return Interaction(reason=_nothing_to_test(known, on_grid))
    with_tau = _observe(known, {key for key in set(on_grid) - set(saturated) if _has_tau(known, key)})
    seen = with_tau if with_tau.settings else seen
    if min(seen.levels("block"), seen.levels("tau")) < 2:
        return Interaction(reason="the unsaturated settings do not vary both block and tau", settings=seen.settings)
    found = factors.interaction(seen.y, seen.seeds, seen.pages, seen.factor("block"), seen.factor("tau"))
    if found is None:
        return Interaction(reason="too few settings and seeds to test it", settings=seen.settings)
    f, df, rest, p = found
    return Interaction(f=f, df=df, df_residual=rest, p=p, rejects=p < REJECTED, settings=seen.settings)


def _nothing_to_test(known: Evidence, on_grid: Collection[str]) -> str:
    if not on_grid and any(cell.role == "grid" for cell in known.cells.values()):
        return "these settings form no grid"
    if _observe(known, on_grid).settings == 0:
        return "no setting of the grid has finished on every seed"
    return "every setting that finished on every seed is saturated"


def knobs(
    known: Evidence, on_grid: Collection[str], saturated: Collection[str], tested: Interaction
) -> tuple[Knob, ...]:
    """Compare the levels of every knob that varies; block and tau only where no interaction was found."""
    healthy, everything = _observe(known, set(on_grid) - set(saturated)), _observe(known, on_grid)
    with_tau = _observe(known, {key for key in set(on_grid) - set(saturated) if _has_tau(known, key)})
    found = []
    for name, seen in (("block", healthy), ("lambda", everything), ("tau", with_tau), ("variant", everything)):
        if 2 <= seen.levels(name) <= MOST_LEVELS and not (tested.rejects and name in ("block", "tau")):
            found.append(_knob(known, seen, name))
    return tuple(knob for knob in found if knob.levels)


def _knob(known: Evidence, seen: _Observations, name: str) -> Knob:
    # A variant may have no tau: beside variants, its stand-in would pass for an effect of the variant.
    hidden = {name, "tau"} if name == "variant" and _lacks_tau(seen.knobs["variant"]) else {name}
    others = [seen.knobs[other] for other in seen.knobs if other not in hidden and seen.levels(other) > 1]
    blocks = [seen.seeds, *others]
    test = factors.effect(seen.y, blocks, seen.factor(name))
    levels = factors.levels(seen.y, blocks, seen.factor(name), INTERVAL_ALPHA)
    margin, n = math.log1p((known.study.confirm or Confirm()).margin), len(seen.y)
    return Knob(name=name, p=test.p if test else None, levels=tuple(_level(known, one, margin, n) for one in levels))


def _level(known: Evidence, level: Level, margin: float, n: int) -> KnobLevel:
    if level.difference == 0:
        reach = "lowest"
    elif level.high <= margin:
        reach = "within the margin"
    else:
        reach = "beyond the margin" if level.low > margin else "open"
    return KnobLevel(
        level=_said(known, level.level),
        change=change_of(n, level.difference, level.low, level.high),
        reach=reach,
    )


def _said(known: Evidence, level: Hashable) -> str:
    if isinstance(level, tuple):
        return block_name(level, known.study.recipe.model.taps)
    return f"{level:g}" if isinstance(level, float) else str(level)


def level_of(known: Evidence, key: str, knob: str) -> str:
    """Name the level of a knob that a setting has, as `KnobLevel.level` does."""
    return _said(known, _turned(known.cells[key].dispersion)[knob])


def _turned(setting: Dispersion) -> dict[str, Hashable]:
    return {"block": setting.blocks, "lambda": setting.lam, "tau": setting.tau, "variant": setting.variant}


def _observe(known: Evidence, wanted: Collection[str]) -> _Observations:
    main = known.main
    rows = [] if main is None else [key for key in main.keys if key in wanted and _is_whole(main, key)]
    y, seeds, cells = [], [], []
    logs = main.logs() if main else np.empty((0, 0))
    for key in rows:
        assert main is not None
        for place in np.flatnonzero(np.isfinite(logs[main.row[key]])):
            y.append(float(logs[main.row[key], place]))
            seeds.append(main.seeds[int(place)])
            cells.append(known.cells[key].dispersion)
    return _Observations(
        np.array(y),
        list(seeds),
        [(cell.lam, cell.variant) for cell in cells],
        {name: [_turned(cell)[name] for cell in cells] for name in ("block", "lambda", "tau", "variant")},
        len(rows),
    )


def _lacks_tau(variants: Collection[object]) -> bool:
    return any(name in variants and facts.tau is None for name, facts in VARIANTS.items())


def _has_tau(known: Evidence, key: str) -> bool:
    return known.cells[key].dispersion.has_tau


def _is_whole(main: StageTable, key: str) -> bool:
    """Whether a setting ran to its end on every seed: a stopped one has no score, and the rest of it are lucky."""
    return set(main.states(key)) == {"complete"} and not main.audited(key)
