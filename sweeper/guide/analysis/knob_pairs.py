"""Which pairs of knobs interact: every pair that the screen's grid varies, as one family of tests.

From the screen, so never a claim: that no interaction was seen does not mean that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import combinations

from sweeper.guide.analysis.knob_effects import INTERACTING, MOST_LEVELS, REJECTED, acts, observe
from sweeper.guide.analysis.stage_table import Evidence
from sweeper.guide.schema.statements import Interaction, KnobPair
from sweeper.statistics.paired_tests import holm
from sweeper.study.knobs import KNOBS, Knob


def knob_pairs(known: Evidence, on_grid: Collection[str], saturated: Collection[str]) -> tuple[KnobPair, ...]:
    """Test all pairs of knobs that vary on the grid; what a pair lacks for a test is its reason."""
    varied = [knob for knob in KNOBS if observe(known, _acting(known, on_grid, (knob,))).levels(knob.name) > 1]
    tested = [_tested(known, on_grid, saturated, pair) for pair in combinations(varied, 2)]
    adjusted = iter(holm([pair.p for pair in tested if pair.p is not None]))
    return tuple(pair if pair.p is None else _judged(pair, next(adjusted)) for pair in tested)


def in_family(tested: Interaction, pairs: Collection[KnobPair]) -> Interaction:
    """Judge block x tau as one of the family."""
    names = tuple(knob.name for knob in INTERACTING)
    own = next((pair for pair in pairs if pair.knobs == names and pair.p is not None), None)
    return tested.model_copy(update={"adjusted": own.adjusted, "rejects": own.seen}) if own else tested


def partners(pairs: Collection[KnobPair], knob: str) -> tuple[str, ...]:
    """Name the knobs that one was seen to interact with."""
    seen = (pair.knobs for pair in pairs if pair.seen and knob in pair.knobs)
    return tuple(other for both in seen for other in both if other != knob)


def _judged(pair: KnobPair, p: float) -> KnobPair:
    return pair.model_copy(update={"adjusted": p, "seen": p < REJECTED})


def _tested(known: Evidence, on_grid: Collection[str], saturated: Collection[str], pair: tuple[Knob, Knob]) -> KnobPair:
    names = (pair[0].name, pair[1].name)
    dead = set(saturated) if any(knob.needs_gradient for knob in pair) else set()
    seen = observe(known, _acting(known, on_grid, pair) - dead)
    levels = [seen.levels(name) for name in names]
    if min(levels) < 2:
        which = "unsaturated settings" if dead else "settings that have both"
        return KnobPair(knobs=names, reason=f"the {which} do not vary both", settings=seen.settings)
    found = seen.crossed(*pair) if max(levels) <= MOST_LEVELS else None
    if found is None:
        return KnobPair(knobs=names, reason="too few settings and seeds to test it", settings=seen.settings)
    return KnobPair(
        knobs=names,
        f=found.f,
        df=found.df,
        df_residual=found.df_residual,
        p=found.p,
        size=math.expm1(found.size),
        settings=seen.settings,
    )


def _acting(known: Evidence, on_grid: Collection[str], knobs: tuple[Knob, ...]) -> set[str]:
    return {key for key in on_grid if all(acts(known, key, knob) for knob in knobs)}
