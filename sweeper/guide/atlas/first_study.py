"""An atlas's advice for a first study in a new scope: values for the knobs that it has a heuristic for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sweeper.guide.atlas.schema import Atlas, Heuristic
from sweeper.guide.atlas.units import ALL, RELATIVE, TAU, THIRDS
from sweeper.study.knobs import BLOCK, LAMBDA, VARIANT
from sweeper.study.knobs import TAU as TAU_KNOB

# Two values inside each range, in mean distances of the batch.
BLOCKS: Mapping[str, str] = dict(zip((*THIRDS, ALL), ("[0]", "[0.5]", "[1.0]", "[all]"), strict=True))
TAUS: Mapping[str, str] = dict(
    zip(TAU.names, ("[0.02, 0.05]", "[0.15, 0.3]", "[0.5, 1]", "[2, 4]", "[8, 16]"), strict=True)
)
RELATIVE_TAU = "0.4 to 1.6"  # where a rule asks for the form and says nothing of tau


class Advice(NamedTuple):
    """A knob's values as studies have them, and the rule they follow; `relative`: they need tau in mean distances."""

    values: str
    rule: str
    relative: bool = False


def advice(atlas: Atlas, relative: bool = False) -> dict[str, Advice]:
    """Return values by knob, except knobs without a heuristic or whose rule names no value.

    `relative`: the study has tau in mean distances anyway. Then, and where a rule about tau makes it so, lambda follows
    the rules about that form of the loss alone. Lambda is given as studies wrote it: its weight in a new scope is
    unknown before training there.
    """
    found = {}
    for rule in atlas.heuristics:
        if rule.knob != LAMBDA.name and (values := _values(rule)):
            found[rule.knob] = Advice(values, rule.rule, rule.knob == TAU_KNOB.name)
    for form in (True,) if relative or TAU_KNOB.name in found else (False, True):
        if LAMBDA.name not in found and (lam := _lambda(atlas, form)):
            found[LAMBDA.name] = lam
    return found


def _lambda(atlas: Atlas, relative: bool) -> Advice | None:
    levels = [level for knob in atlas.knobs if knob.knob == LAMBDA.name for level in knob.levels]
    levels = [level for level in levels if level.level.endswith(RELATIVE) == relative]
    rules = {one.level: one for one in atlas.heuristics if one.knob == LAMBDA.name}
    here = [(level, rules[level.level]) for level in levels if level.level in rules]
    for level, rule in here:
        if rule.kind == "use" and (values := _ends(level.lambdas)):
            return Advice(values, rule.rule, relative)
    avoided = [rule for _, rule in here if rule.kind == "avoid"]
    if not avoided:
        return None
    first = next(place for place, level in enumerate(levels) if level.level == avoided[0].level)
    values = _ends(tuple(value for level in levels[:first] for value in level.lambdas))
    return Advice(values, " ".join(rule.rule for rule in avoided), relative) if values else None


def _values(rule: Heuristic) -> str | None:
    match rule.knob:
        case BLOCK.name:
            return BLOCKS.get(rule.level)
        case TAU_KNOB.name:
            return TAUS[rule.level]
        case VARIANT.name:
            return f"[{rule.level}]"
        case _:
            return None


def _ends(lambdas: tuple[float, ...]) -> str | None:
    return f"[{', '.join(f'{value:g}' for value in sorted({min(lambdas), max(lambdas)}))}]" if lambdas else None
