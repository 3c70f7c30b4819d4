"""Which pairs of knobs interact: every pair that the screen's grid varies, as one family of tests.

From the screen, so never a claim: that no interaction was seen does not mean that there is none.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

from sweeper.guide.analysis.knob_effects import INTERACTING, MOST_LEVELS, REJECTED, acts, observe
from sweeper.guide.analysis.scattered_pairs import dead, not_varied, pair_of, scattered_pairs
from sweeper.guide.analysis.stage_table import Evidence
from sweeper.guide.schema.statements import Interaction, KnobPair
from sweeper.statistics.paired_tests import holm
from sweeper.study.knobs import KNOBS, Knob


def knob_pairs(known: Evidence, on_grid: Collection[str], saturated: Collection[str]) -> tuple[KnobPair, ...]:
    """Test all pairs of knobs that vary on the grid, or in a search; an untested pair has the `reason`."""
    settings = on_grid or [key for key, cell in known.cells.items() if cell.role == "grid"]
    varied = [knob for knob in KNOBS if observe(known, _acting(known, settings, (knob,))).levels(knob.name) > 1]
    if on_grid:
        tested = [_tested(known, on_grid, saturated, pair) for pair in combinations(varied, 2)]
    else:
        tested = scattered_pairs(known, settings, saturated, varied)
    adjusted = iter(holm([pair.p for pair in tested if pair.p is not None]))
    return tuple(pair if pair.p is None else _judged(pair, next(adjusted)) for pair in tested)


def in_family(tested: Interaction, pairs: Collection[KnobPair]) -> Interaction:
    """Judge block x tau as one of the family."""
    names = tuple(knob.name for knob in INTERACTING)
    own = next((pair for pair in pairs if pair.knobs == names and pair.p is not None), None)
    if tested.p is None:
        return tested
    return tested.model_copy(update={"adjusted": own.adjusted, "rejects": own.seen}) if own else tested


def partners(pairs: Collection[KnobPair], knob: str) -> tuple[str, ...]:
    """Name the knobs that this one was seen to interact with."""
    seen = (pair.knobs for pair in pairs if pair.seen and knob in pair.knobs)
    return tuple(other for both in seen for other in both if other != knob)


def _judged(pair: KnobPair, p: float) -> KnobPair:
    return pair.model_copy(update={"adjusted": p, "seen": p < REJECTED})


def _tested(known: Evidence, on_grid: Collection[str], saturated: Collection[str], pair: tuple[Knob, Knob]) -> KnobPair:
    names = (pair[0].name, pair[1].name)
    kept = _acting(known, on_grid, pair) - dead(saturated, pair)
    seen = observe(known, kept)
    levels = [seen.levels(name) for name in names]
    if min(levels) < 2:
        return KnobPair(knobs=names, reason=not_varied(saturated, pair), settings=seen.settings)
    crossed = seen.crossed(*pair) if max(levels) <= MOST_LEVELS else None
    return pair_of(names, crossed, seen.settings)


def _acting(known: Evidence, settings: Collection[str], knobs: tuple[Knob, ...]) -> set[str]:
    return {key for key in settings if all(acts(known, key, knob) for knob in knobs)}
