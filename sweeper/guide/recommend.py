"""The settings among which the best is: whatever neither stage shows to be worse than another."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from sweeper.guide.claims import of
from sweeper.guide.contrast import log_differences
from sweeper.guide.evidence import BASELINE, Evidence, StageTable
from sweeper.guide.statements import Claim, Recommendation
from sweeper.inference.effects import fit_effects, possibly_best
from sweeper.inference.levels import OBJECTIVE_ALPHA, SET_ALPHA, UNIQUE_ALPHA
from sweeper.study import Confirm


def recommend(known: Evidence, claims: Sequence[Claim]) -> Recommendation | None:
    """Find the set and the one to take from it; None without a baseline and a setting to choose between.

    The screen takes out what it shows to be worse than another cell, and then the fresh seeds do; what was stopped,
    was only audited, or diverged as often as not is out as well. The chance to lose the best one adds up over both.
    """
    main = known.main
    if main is None or BASELINE not in main.row:
        return None
    compared = [key for key in main.keys if known.cells[key].role != "control"]
    eligible = [key for key in compared if _is_eligible(main, key)]
    if BASELINE not in eligible or len(eligible) < 2:
        return None
    members = _members(known, eligible, claims, SET_ALPHA, OBJECTIVE_ALPHA)
    first, why = _first(known, members, claims)
    return Recommendation(
        members=tuple(sorted(members, key=lambda key: _simplicity(known, key))),
        first=first,
        why=why,
        # A screen alone names no best.
        unique=bool(claims)
        and len(members) == 1
        and len(_members(known, eligible, claims, UNIQUE_ALPHA, UNIQUE_ALPHA)) == 1,
        stopped=len(compared) - len(eligible),
    )


def _is_eligible(table: StageTable, key: str) -> bool:
    """Whether a cell was not stopped, and came through more often than it diverged: one bad seed is no verdict."""
    states = table.states(key)
    sound = states.count("complete") > states.count("diverged")
    return sound and "pruned" not in states and not table.audited(key)


def _members(
    known: Evidence, eligible: Sequence[str], claims: Sequence[Claim], alpha: float, claim_alpha: float
) -> list[str]:
    left = set(eligible)
    for stage in known.stages.values():
        # A stage that is not finished takes nobody out: its seeds were not all looked at.
        if stage.stage == "screen" or claims:
            left -= _worse(stage, [key for key in eligible if key in stage.row], alpha) - {BASELINE}
    # Whether lambda 0 is beaten is for the claims to say, and for nothing else.
    strong = [claim for claim in claims if claim.p is not None and claim.p <= claim_alpha]
    left -= {claim.key for claim in strong if claim.standing == "confirmed hurts"}
    if any(claim.standing == "confirmed helps" for claim in strong):
        left.discard(BASELINE)
    # The tests of both stages can contradict each other, leaving nobody; then nothing is known.
    return [key for key in eligible if key in left] or list(eligible)


def _worse(table: StageTable, keys: Collection[str], alpha: float) -> set[str]:
    logs = table.logs()
    measured = [key for key in keys if np.isfinite(logs[table.row[key]]).any()]
    effects = fit_effects(logs[[table.row[key] for key in measured]]) if len(measured) > 1 else None
    if effects is None:
        return set()
    return {key for key, kept in zip(measured, possibly_best(effects, alpha), strict=True) if not kept}


def _first(known: Evidence, members: Sequence[str], claims: Sequence[Claim]) -> tuple[str, str]:
    """Choose one: the lowest of the confirmed, else a bet on a gain of at least the margin, else lambda 0."""
    confirmed = [claim for claim in claims if claim.standing == "confirmed helps" and claim.key in members]
    if confirmed:
        return min(confirmed, key=_mean).key, "confirmed"
    margin = -math.expm1(-math.log1p((known.study.confirm or Confirm()).margin))
    bets = [claim for claim in claims if claim.key in members and claim.change and claim.change.mean <= -margin]
    if bets:
        return min(bets, key=_mean).key, "bet"
    if BASELINE in members:
        return BASELINE, "default"
    fresh = [claim for key in members if (claim := of(claims, key)) and claim.change]
    if fresh:
        return min(fresh, key=_mean).key, "bet"
    return min(members, key=lambda key: _screen_mean(known, key)), "bet"


def _mean(claim: Claim) -> float:
    return claim.change.mean if claim.change else math.inf


def _screen_mean(known: Evidence, key: str) -> float:
    main = known.main
    assert main is not None
    difference = log_differences(main)[main.row[key]]
    return float(np.nanmean(difference)) if np.isfinite(difference).any() else math.inf


def _simplicity(known: Evidence, key: str) -> tuple[object, ...]:
    """Order by what a setting costs and dares: lambda 0, then fewer blocks, then a smaller lambda."""
    knobs = known.cells[key].dispersion
    return (knobs.lam > 0, len(knobs.blocks), knobs.lam, knobs.blocks, knobs.tau, key)
