"""Compute a crossing from the records of studies that differ in their recipes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.errors import StudyError
from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.atlas.members import Member, members
from sweeper.guide.crossing.knobs import FEWEST, common_of, cross_knobs
from sweeper.guide.crossing.schema import Crossed, Crossing
from sweeper.guide.crossing.wording import headline, points
from sweeper.guide.schema.statements import Claim
from sweeper.records import BASELINE_KEY, StudyRecord
from trainer.recipe import Frozen


def assemble_crossing(records: Sequence[StudyRecord]) -> Crossing:
    """Work out everything the page says of these studies, in the order of their values.

    Raises StudyError for fewer than two studies whose screens are finished, and where their recipes do not differ.
    """
    chosen = members(records)
    if len(chosen.used) < FEWEST:
        left = "; ".join(f"{unused.study}: {unused.reason}" for unused in chosen.unused)
        raise StudyError(f"fewer than two of these studies can be compared: {left or 'no other was given'}", "run them")
    fields = _differing([member.record.study.recipe for member in chosen.used])
    if not fields:
        raise StudyError(
            "the recipes of these studies do not differ", "`sweeper compare` compares studies of one recipe"
        )
    used = sorted(chosen.used, key=lambda one: _order(_values(one, fields)))
    common = common_of(used)
    knobs = cross_knobs(common)
    studies = tuple(_study(member, fields) for member in used)
    metric = used[0].guide.words(used[0].guide.objective)
    return Crossing(
        title=_shared_name([member.name for member in used]),
        fields=fields,
        metric=metric,
        studies=studies,
        settings=len(common.settings),
        seeds=len(common.seeds),
        knobs=knobs,
        headline=headline(fields, knobs),
        points=points(fields, metric, studies, knobs),
        unused=tuple((unused.study, unused.reason) for unused in chosen.unused),
    )


def _flat(tree: Frozen, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name in type(tree).model_fields:
        value = getattr(tree, name)
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Frozen) else {f"{prefix}{name}": value}
    return flat


def _differing(recipes: Sequence[Frozen]) -> tuple[str, ...]:
    trees = [_flat(recipe) for recipe in recipes]
    names = dict.fromkeys(name for tree in trees for name in tree)
    return tuple(name for name in names if len({repr(tree.get(name)) for tree in trees}) > 1)


def _values(member: Member, fields: Sequence[str]) -> list[object]:
    tree = _flat(member.record.study.recipe)
    return [tree.get(name) for name in fields]


def _order(values: Sequence[object]) -> list[tuple[bool, float, str]]:
    """Return a key that sorts numbers by size, and words behind them."""
    return [(False, float(one), "") if isinstance(one, int | float) else (True, 0.0, str(one)) for one in values]


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shared_name(names: Sequence[str]) -> str:
    """Return how all names begin, up to a '-'; the first name where they share nothing."""
    shared = names[0]
    for name in names[1:]:
        while not name.startswith(shared):
            shared = shared[:-1]
    return shared.rpartition("-")[0] or shared.strip("-_") or names[0]


def _confirmed_then_lowest(claim: Claim) -> tuple[bool, float]:
    return claim.standing != "confirmed helps", claim.change.mean if claim.change else 0.0


def _study(member: Member, fields: Sequence[str]) -> Crossed:
    table, guide = member.known.main, member.guide
    assert table is not None
    logs_S = table.logs()[table.row[BASELINE_KEY]]
    own = geometric_mean(logs_S)
    tested = [claim for claim in guide.claims if claim.change and claim.standing != "not comparable"]
    best = min(tested, key=_confirmed_then_lowest, default=None)
    return Crossed(
        study=member.name,
        values=tuple(_written(one) for one in _values(member, fields)),
        headline=guide.verdict.headline,
        mean=own.mean if own else None,
        sd=own.sd if own else None,
        n=int(np.isfinite(logs_S).sum()),
        setting=best.label if best else "",
        change=best.change if best else None,
        bound=best.bound if best else None,
        standing=best.standing if best else "",
    )
