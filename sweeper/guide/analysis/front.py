"""The front of a study with second objectives: means decide who is on it, the confirm stage's claims what is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweeper.guide.analysis.confirm_test import Claims
from sweeper.guide.analysis.contrasts import change_of, log_differences
from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.analysis.stage_table import Evidence, Matrix, StageTable
from sweeper.guide.schema.front import Front, FrontChange, FrontObjective, FrontRow, Sure
from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Claim
from sweeper.records import BASELINE_KEY
from sweeper.statistics.dominance import non_dominated
from sweeper.study.second_objectives import COSTS, FLOPS, cost_steps


def front(known: Evidence, made: Claims) -> Front | None:
    """Lay out what each arm trades, with the claims that were made; None without second objectives or a baseline."""
    if not known.study.traded:
        return None
    names = {name for table in known.stages.values() for name in table.metrics}
    objectives = (
        FrontObjective(metric=known.objective, better="lower"),
        *(
            FrontObjective(metric=second_objective.recorded(names), better=second_objective.better)
            for second_objective in known.study.traded
        ),
    )
    rows: list[FrontRow] = []
    fresh, screen = known.stages.get("confirm"), known.stages.get("screen")
    if made.finished and fresh is not None:
        rows += _rows(known, fresh, objectives, (*made.settings, *made.beside))
    if screen is not None and BASELINE_KEY in screen.row:
        screened = _rows(known, screen, objectives, ())
        rows += [row for row in screened if row.free or (row.key == BASELINE_KEY and not rows)]
    return Front(objectives=objectives, rows=tuple(rows)) if rows else None


def _rows(
    known: Evidence, table: StageTable, objectives: Sequence[FrontObjective], claims: Sequence[Claim]
) -> list[FrontRow]:
    claimed = {(claim.key, claim.metric): claim for claim in claims}
    keys = [key for key in table.keys if not table.audited(key)]
    means = [_means(table, front_objective.metric) for front_objective in objectives]
    changes = [
        tuple(
            _with_claim(mean[key], claimed.get((key, front_objective.metric)))
            for front_objective, mean in zip(objectives, means, strict=True)
        )
        for key in keys
    ]
    value_CO = np.array(
        [[_level(*pair) for pair in zip(objectives, own, strict=True)] for own in changes], dtype=np.float64
    )
    return [
        FrontRow(
            key=key,
            label=known.cells[key].label,
            stage=table.stage,
            changes=own,
            free=bool(free) if np.isfinite(value_O).all() else None,
            sure=_sure(objectives, own) if table.stage == "confirm" and key != BASELINE_KEY else None,
        )
        for key, own, value_O, free in zip(keys, changes, value_CO, non_dominated(value_CO), strict=True)
    ]


def _means(table: StageTable, metric: str) -> dict[str, FrontChange]:
    """Return every arm's mean change to lambda 0 on the seeds they share, without an interval, by key."""
    if metric in COSTS:
        return _costs(table, metric)
    difference_CS, base_S = log_differences(table, metric), table.logs(metric)[table.row[BASELINE_KEY]]
    own, found = geometric_mean(base_S), dict[str, FrontChange]()
    for key, row in table.row.items():
        seen = difference_CS[row][np.isfinite(difference_CS[row])]
        change = change_of(len(seen), float(seen.mean())) if len(seen) else None
        found[key] = FrontChange(change=change, level=own.mean if own and key == BASELINE_KEY else None)
    return found


def _costs(table: StageTable, metric: str) -> dict[str, FrontChange]:
    """Return what each arm's cheapest trial took, against lambda 0's."""
    cheapest = {key: _cheapest(table.scores(metric)[row]) for key, row in table.row.items()}
    base, found = cheapest[BASELINE_KEY], dict[str, FrontChange]()
    for key, (cost, count) in cheapest.items():
        change = Change(n=count, mean=cost / base[0] - 1) if count and base[1] and base[0] > 0 else None
        found[key] = FrontChange(change=change, level=cost if count and key == BASELINE_KEY else None)
    return found


def _cheapest(cost_S: Matrix) -> tuple[float, int]:
    known = cost_S[np.isfinite(cost_S)]
    return (float(known.min()), known.size) if known.size else (math.nan, 0)


def _with_claim(mean: FrontChange, claim: Claim | None) -> FrontChange:
    """Put a claim's change, which has an interval, in the place of the mean alone."""
    if claim is None:
        return mean
    return FrontChange(change=claim.change, standing=claim.standing, bound=claim.bound)


def _level(objective: FrontObjective, own: FrontChange) -> float:
    """Return where an arm stands in an objective, lower being better; NaN where it was not compared."""
    if own.change is None or own.standing == "not comparable":
        return math.nan  # the seeds that ended well would flatter it
    ratio = 1 + own.change.mean
    if ratio <= 0:
        return math.nan
    if objective.metric in COSTS:
        return cost_steps(ratio)
    return -math.log(ratio) if objective.better == "higher" else math.log(ratio)


def _sure(objectives: Sequence[FrontObjective], changes: Sequence[FrontChange]) -> Sure:
    """Say how an arm stands to lambda 0: by its claims, and by the operations of its training, which are counted.

    A time is no evidence: on the recorded studies an arm that trains as long as lambda 0 took .79 to 2.1 times as long.
    """
    steps = [_level(*pair) for pair in zip(objectives, changes, strict=True) if pair[0].metric == FLOPS]
    helps = any(front_change.standing == "confirmed helps" for front_change in changes)
    hurts = any(front_change.standing == "confirmed hurts" for front_change in changes)
    cheaper, dearer = any(step < 0 for step in steps), any(step > 0 for step in steps)
    if not helps and not hurts:
        return "open"
    if helps:
        return "a trade" if hurts or dearer else "better"
    if cheaper:
        return "a trade"
    # What nobody could decide, or made no claim about, may yet be better: it is no evidence of being the same.
    judged = [own for objective, own in zip(objectives, changes, strict=True) if objective.metric not in COSTS]
    decided = all(own.standing in ("confirmed hurts", "equivalent") for own in judged)
    return "dominated" if decided else "worse in one"
