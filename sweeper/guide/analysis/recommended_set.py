"""The settings that may be the best: those that neither stage shows to be worse than another."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from sweeper.guide.analysis.confirm_test import of
from sweeper.guide.analysis.stage_table import Evidence, StageTable
from sweeper.guide.schema.statements import Claim, FirstChoice, Recommendation
from sweeper.records import BASELINE_KEY
from sweeper.statistics.effects import fit_effects, possibly_best
from sweeper.statistics.error_budget import BET_ALPHA, OBJECTIVE_ALPHA, SET_ALPHA, UNIQUE_ALPHA
from sweeper.study import Confirm
from sweeper.study.knobs import KNOBS


def recommend(known: Evidence, claims: Sequence[Claim]) -> Recommendation | None:
    """Find the set and the one to take from it; None without a baseline and a setting to choose between.

    The screen removes cells that it shows to be worse than another, and then the fresh seeds do. Cells that were
    stopped, only audited or diverged in half of their trials or more are out too, unless they ran on fresh seeds.
    Lambda 0 is removed only where a setting is confirmed to help.
    """
    tables = list(known.stages.values())
    compared = [key for key in known.cells if known.cells[key].role != "control"]
    eligible = [key for key in compared if _is_eligible(tables, key, of(claims, key))]
    if BASELINE_KEY not in eligible or len(eligible) < 2:
        return None
    members = _members(known, eligible, claims, SET_ALPHA, OBJECTIVE_ALPHA)
    first, why = _first(known, members, claims)
    sole = members[0] if len(members) == 1 else None
    return Recommendation(
        members=tuple(sorted(members, key=lambda key: _simplicity(known, key))),
        first=first,
        why=why,
        # A screen alone names no single best; nor does a set whose only member could not be compared.
        unique=bool(claims)
        and (sole == BASELINE_KEY or _helps(of(claims, sole or "")))
        and len(_members(known, eligible, claims, UNIQUE_ALPHA, UNIQUE_ALPHA)) == 1,
        stopped=len(compared) - len(eligible),
    )


def _is_eligible(tables: Sequence[StageTable], key: str, claim: Claim | None) -> bool:
    """Whether a cell can be recommended: comparable on fresh seeds, or else sound in every stage it was in."""
    if claim is not None and claim.standing != "not comparable":
        return True
    return all(_is_sound(table, key) for table in tables if key in table.row)


def _is_sound(table: StageTable, key: str) -> bool:
    """Whether a cell was not stopped, and finished more often than it diverged: one bad seed does not exclude it."""
    states = table.states(key)
    through = states.count("complete") > states.count("diverged") + states.count("failed")
    # A stage under way excludes no cell before a trial has ended.
    return (through or not {"complete", "diverged", "failed"} & set(states)) and not (
        "pruned" in states or table.audited(key)
    )


def _helps(claim: Claim | None) -> bool:
    return claim is not None and claim.standing == "confirmed helps"


def _members(
    known: Evidence, eligible: Sequence[str], claims: Sequence[Claim], alpha: float, claim_alpha: float
) -> list[str]:
    strong = {claim.key: claim for claim in claims if claim.p is not None and claim.p <= claim_alpha}
    helping = {key for key, claim in strong.items() if _helps(claim)}
    comparable = {BASELINE_KEY, *(claim.key for claim in claims if claim.standing != "not comparable")}
    left = set(eligible)
    if screen := known.stages.get("screen"):
        # The screen never removes a setting that the fresh seeds confirm.
        left -= _worse(screen, [key for key in eligible if key in screen.row], alpha) - helping
    # An unfinished confirm stage removes no cell: not all of its seeds are in.
    if claims and (fresh := known.stages.get("confirm")):
        left -= _worse(fresh, [key for key in eligible if key in fresh.row and key in comparable], alpha)
    left -= {key for key, claim in strong.items() if claim.standing == "confirmed hurts"}
    # Only the claims decide whether lambda 0 is beaten.
    left |= {BASELINE_KEY}
    if helping:
        left -= {BASELINE_KEY}
        left |= {min(helping, key=lambda key: _mean(strong[key]))}
    return [key for key in eligible if key in left]


def _worse(table: StageTable, keys: Collection[str], alpha: float) -> set[str]:
    logs = table.logs()
    measured = [key for key in keys if np.isfinite(logs[table.row[key]]).any()]
    effects = fit_effects(logs[[table.row[key] for key in measured]]) if len(measured) > 1 else None
    if effects is None:
        return set()
    return {key for key, kept in zip(measured, possibly_best(effects, alpha), strict=True) if not kept}


def _first(known: Evidence, members: Sequence[str], claims: Sequence[Claim]) -> tuple[str, FirstChoice]:
    """Choose one: the lowest of the confirmed, else a bet on a gain of at least the margin, else lambda 0.

    A bet uses the tests of the claims, at a level of its own, which bounds how often a guide names a bet where
    nothing has an effect.
    """
    helping = [claim for claim in claims if _helps(claim)]
    if helping:
        return min(helping, key=_mean).key, "confirmed"
    margin = (known.study.confirm or Confirm()).margin
    bets = [claim for claim in claims if claim.key in members and _is_likely(claim) and _mean(claim) <= -margin]
    return (min(bets, key=_mean).key, "bet") if bets else (BASELINE_KEY, "default")


def _is_likely(claim: Claim) -> bool:
    return claim.direction == "lower" and claim.p is not None and claim.p <= BET_ALPHA


def _mean(claim: Claim) -> float:
    return claim.change.mean if claim.change else math.inf


def _simplicity(known: Evidence, key: str) -> tuple[object, ...]:
    """Sort key, simplest first: lambda 0, fewer blocks, a smaller lambda, then the usual values."""
    here = known.cells[key].dispersion
    first = (here.lam > 0, len(here.blocks), here.lam, here.blocks, here.tau)
    others = [(knob, getattr(here, knob.field)) for knob in KNOBS if knob.usual is not None]
    return (
        *first,
        *(value != knob.usual for knob, value in others),
        *(knob.rank(value) for knob, value in others),
        key,
    )
