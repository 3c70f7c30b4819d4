"""Compute an atlas from the records of many studies, as a guide is computed from one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from sweeper.guide.analysis.contrasts import fraction
from sweeper.guide.atlas.best import Found, best_setting
from sweeper.guide.atlas.heuristics import Fold, Judged, judge, pooled_over
from sweeper.guide.atlas.knob_tables import evidence_of, expectation, speakers, table_of
from sweeper.guide.atlas.members import Member, data_name, members, of_scope
from sweeper.guide.atlas.observed import ORDERS, Seen, can_use_gradients, observe
from sweeper.guide.atlas.schema import Atlas, Check, Expectation, Heuristic, LambdaUnit, ScopeRow, Unused
from sweeper.guide.atlas.wording import headline, new_model, points, rule_words
from sweeper.records import StudyRecord
from sweeper.study import Confirm
from sweeper.study.knobs import VARIANT


def assemble_atlas(records: Sequence[StudyRecord], unread: Iterable[Unused] = ()) -> Atlas:
    """Work out everything an atlas says about studies; `unread` could not be read.

    The order of the records changes the numbers of scopes and nothing else.
    """
    chosen = members(records)
    used = chosen.used
    unit: LambdaUnit = "gradient ratio" if used and all(map(can_use_gradients, used)) else "loss ratio"
    observed = [observe(member, unit) for member in used]
    best = [best_setting(member) for member in used]
    scopes = max((member.scope for member in used), default=0)
    rows = tuple(_scope_row(used, best, scope) for scope in range(1, scopes + 1))
    spoken = {knob: speakers(used, observed, knob) for knob in ORDERS}
    evidence = {
        knob: evidence_of(knob, found, scopes)
        for knob, found in spoken.items()
        if found and (knob != VARIANT.name or any(len(speaker.seen.effects.levels) > 1 for speaker in found))
    }
    data_S = [row.data for row in rows]
    margin = min(((member.record.study.confirm or Confirm()).margin for member in used), default=Confirm().margin)
    judged = judge(list(evidence.values()), data_S, math.log1p(margin))
    rules = tuple(map(_heuristic, judged))
    heuristics = tuple(rule for rule in rules if not rule.reason)
    tables = tuple(
        table_of(knob, spoken[knob], knob_evidence, data_S, unit) for knob, knob_evidence in evidence.items()
    )
    expected = _expected(used, best, data_S)
    data = tuple(dict.fromkeys(data_name(member.record) for member in sorted(used, key=lambda one: one.data)))
    return Atlas(
        metric=chosen.metric,
        margin=margin,
        headline=headline(heuristics, scopes, len(data)),
        points=tuple(points(heuristics, rows, expected, data, tables, margin)),
        scopes=rows,
        data_sets=data,
        expected=expected,
        knobs=tables,
        heuristics=heuristics,
        rejected=tuple(rule for rule in rules if rule.reason),
        untested=sum(
            len(knob_evidence.levels) * (2 if knob_evidence.is_weight else 1) for knob_evidence in evidence.values()
        )
        - len(rules),
        lambda_unit=unit,
        unused=(*unread, *chosen.unused, *_partly(used, observed)),
        advice=tuple(new_model(heuristics, tables, rows, unit)),
    )


def _partly(used: Sequence[Member], observed: Sequence[Mapping[str, Seen]]) -> Iterator[Unused]:
    """Name the studies that are used but have no evidence on block and tau."""
    for member, seen in zip(used, observed, strict=True):
        settings = [result for result in member.guide.main.cells if result.n]
        if settings and all(result.saturated for result in settings):
            reason = "block and tau: every setting is at the loss's floor, so only lambda counts"
            yield Unused(study=member.name, reason=reason)
        elif not seen:
            yield Unused(
                study=member.name,
                reason="all knobs: no setting is in units that travel, so only its first setting counts",
            )


def _scope_row(used: Sequence[Member], best: Sequence[Found | None], scope: int) -> ScopeRow:
    here = of_scope(used, scope)
    first, recipe = here[0], here[0].record.study.recipe
    cells = {result.key: result for member in here for result in member.guide.main.cells}
    found = _of_scope(used, best, scope)
    return ScopeRow(
        scope=scope,
        data=first.data,
        studies=tuple(member.name for member in here),
        words=first.guide.scope,
        objective=recipe.objective.kind,
        schedule=f"{recipe.train.schedule}, lr {recipe.train.lr:g}",
        settings=len(cells),
        saturated=sum(result.saturated for result in cells.values()),
        best=found.best if found else None,
    )


def _of_scope(used: Sequence[Member], best: Sequence[Found | None], scope: int) -> Found | None:
    """Return the most informative sweep of a scope: the most fresh seeds, then the most settings."""
    known = [
        (found.is_fresh, len(found.difference_J), len(member.guide.main.cells), found)
        for member, found in zip(used, best, strict=True)
        if found and member.scope == scope
    ]
    return max(known, key=lambda one: one[:3])[3] if known else None


def _expected(used: Sequence[Member], best: Sequence[Found | None], data_S: Sequence[int]) -> Expectation | None:
    effect_S, variance_S = np.full(len(data_S), np.nan), np.full(len(data_S), np.nan)
    for row in range(len(data_S)):
        found = _of_scope(used, best, row + 1)
        if found and found.is_fresh:
            effect_S[row], variance_S[row] = found.difference_J.mean(), found.variance
    pooled = pooled_over(effect_S, variance_S, data_S)
    return expectation(pooled) if pooled else None


def _heuristic(judged: Judged) -> Heuristic:
    return Heuristic(
        knob=judged.knob,
        level=judged.level,
        kind=judged.kind,
        rule=rule_words(judged),
        pooled=expectation(judged.pooled),
        p=judged.p,
        checks=tuple(map(_check, judged.folds)),
        reason=judged.reason,
    )


def _check(fold: Fold) -> Check:
    return Check(
        left_out=tuple(scope + 1 for scope in fold.left_out),
        scope=fold.scope + 1,
        made=fold.made,
        cost=fraction(fold.cost),
        outcome=fold.outcome,
    )
