"""An atlas's advice for a first study in a new scope: values for the knobs that it has a heuristic for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sweeper.guide.atlas.schema import Atlas, Heuristic
from sweeper.guide.atlas.units import ALL, TAU, THIRDS
from sweeper.study.knobs import BLOCK, LAMBDA, VARIANT
from sweeper.study.knobs import TAU as TAU_KNOB

# Two values inside each range, in mean distances of the batch.
BLOCKS: Mapping[str, str] = dict(zip((*THIRDS, ALL), ("[0]", "[0.5]", "[1.0]", "[all]"), strict=True))
TAUS: Mapping[str, str] = dict(
    zip(TAU.names, ("[0.02, 0.05]", "[0.15, 0.3]", "[0.5, 1]", "[2, 4]", "[8, 16]"), strict=True)
)


class Advice(NamedTuple):
    """A knob's values as a study file has them, and the rule they follow."""

    values: str
    rule: str


def advice(atlas: Atlas) -> dict[str, Advice]:
    """Return values by knob, except knobs without a heuristic or whose rule names no value.

    Lambda is given as studies wrote it: its weight in a new scope is unknown before training there.
    """
    found = {}
    for one in atlas.heuristics:
        if one.kind != "avoid" and (values := _values(one, atlas)):
            found[one.knob] = Advice(values, one.rule)
    avoided = [one for one in atlas.heuristics if one.kind == "avoid"]
    if avoided and LAMBDA.name not in found and (values := _below(atlas, {one.level for one in avoided})):
        found[LAMBDA.name] = Advice(values, " ".join(one.rule for one in avoided))
    return found


def _values(one: Heuristic, atlas: Atlas) -> str | None:
    match one.knob:
        case BLOCK.name:
            return BLOCKS.get(one.level)
        case TAU_KNOB.name:
            return TAUS[one.level]
        case LAMBDA.name:
            [level] = [level for knob in atlas.knobs if knob.knob == one.knob for level in knob.levels if
                       level.level == one.level]  # fmt: skip
            return _ends(level.lambdas)
        case VARIANT.name:
            return f"[{one.level}]"
        case _:
            return None


def _below(atlas: Atlas, avoided: set[str]) -> str | None:
    """Return lambdas of the levels below all those to be avoided."""
    names = [level for knob in atlas.knobs if knob.knob == LAMBDA.name for level in knob.levels]
    first = next(place for place, level in enumerate(names) if level.level in avoided)
    return _ends(tuple(value for level in names[:first] for value in level.lambdas))


def _ends(lambdas: tuple[float, ...]) -> str | None:
    return f"[{', '.join(f'{value:g}' for value in sorted({min(lambdas), max(lambdas)}))}]" if lambdas else None
