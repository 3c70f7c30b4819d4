"""A knob over all scopes, each represented by one study: as arrays for the tests and as rows for readers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sweeper.guide.analysis.contrasts import fraction
from sweeper.guide.atlas.heuristics import Estimates, KnobEvidence, Matrix, pooled_over
from sweeper.guide.atlas.levels import against_baseline, over_seeds
from sweeper.guide.atlas.members import Member
from sweeper.guide.atlas.observed import ORDERS, Seen
from sweeper.guide.atlas.schema import Expectation, InScope, KnobTable, LambdaUnit, LevelRow
from sweeper.guide.atlas.units import LAMBDA_UNITS, UNITS
from sweeper.statistics.meta_analysis import Pooled
from sweeper.study.knobs import LAMBDA

PRIOR_SEEDS = 2.0  # the weight of the other scopes' noise beside a scope's own, in degrees of freedom


class Speaker(NamedTuple):
    """The study that represents a scope for a knob; `row` is the scope's, from 0."""

    row: int
    seen: Seen


def speakers(members: Sequence[Member], observed: Sequence[Mapping[str, Seen]], knob: str) -> tuple[Speaker, ...]:
    """Choose for every scope the study with most levels of a knob, then seeds, then settings.

    Studies of a scope share their trials' random numbers, baseline included: two of them would count as one anyway.
    """
    chosen: dict[int, Seen] = {}
    for member, seen in zip(members, observed, strict=True):
        here, row = seen.get(knob), member.scope - 1
        if here and (row not in chosen or _rank(here) > _rank(chosen[row])):
            chosen[row] = here
    return tuple(Speaker(row, chosen[row]) for row in sorted(chosen))


def _rank(seen: Seen) -> tuple[int, int, int]:
    return len(seen.effects.levels), seen.seeds, seen.settings.total()


def evidence_of(knob: str, spoken: Sequence[Speaker], scopes: int) -> KnobEvidence:
    """Lay a knob out as arrays, [S, L]."""
    present = {level for speaker in spoken for level in speaker.seen.effects.levels}
    levels = tuple(level for level in ORDERS[knob] if level in present)
    against, among = (_estimates(spoken, levels, scopes, is_against) for is_against in (True, False))
    diverged = frozenset(level for speaker in spoken for level in speaker.seen.diverged)
    return KnobEvidence(knob, levels, against, among, knob == LAMBDA.name, diverged)


def _estimates(spoken: Sequence[Speaker], levels: tuple[str, ...], scopes: int, is_against: bool) -> Estimates:
    estimates = Estimates(np.full((scopes, len(levels)), np.nan), np.full((scopes, len(levels)), np.nan))
    for row, seen in spoken:
        places = [levels.index(level) for level in seen.effects.levels]
        mean_L, variance_L = against_baseline(seen.effects) if is_against else over_seeds(seen.effects.among_LJ)
        estimates.effect_SL[row, places], estimates.variance_SL[row, places] = mean_L, variance_L
    seeds_S = np.array(
        [next((speaker.seen.seeds for speaker in spoken if speaker.row == row), 1) for row in range(scopes)]
    )
    return Estimates(estimates.effect_SL, moderated(estimates.variance_SL, seeds_S))


def moderated(variance_SL: Matrix, seeds_S: npt.NDArray[np.int_]) -> Matrix:
    """Shrink squared errors towards the median scope's, which has `PRIOR_SEEDS` degrees of freedom.

    A variance of two or three seeds may by chance be almost 0, and its scope would then dominate. A scope of one seed
    has no error of its own and stays NaN.
    """
    known = variance_SL[np.isfinite(variance_SL)]
    if not known.size:
        return variance_SL
    df_S1 = np.maximum(seeds_S - 1.0, 0.0)[:, None]
    return np.asarray((df_S1 * variance_SL + PRIOR_SEEDS * float(np.median(known))) / (df_S1 + PRIOR_SEEDS))


def table_of(
    knob: str, spoken: Sequence[Speaker], evidence: KnobEvidence, data_S: Sequence[int], unit: LambdaUnit
) -> KnobTable:
    """Write a knob's levels as rows."""
    rows = tuple(_row(level, place, spoken, evidence, data_S) for place, level in enumerate(evidence.levels))
    return KnobTable(knob=knob, unit=_unit(knob, unit), levels=rows)


def _unit(knob: str, unit: LambdaUnit) -> str:
    return LAMBDA_UNITS[unit] if knob == LAMBDA.name else UNITS.get(knob, "")


def _row(level: str, place: int, spoken: Sequence[Speaker], evidence: KnobEvidence, data_S: Sequence[int]) -> LevelRow:
    effect_S, variance_S = (part[:, place] for part in evidence.against)
    here = [speaker for speaker in spoken if np.isfinite(effect_S[speaker.row])]
    pooled = pooled_over(effect_S, variance_S, data_S)
    scopes = tuple(
        InScope(
            scope=speaker.row + 1,
            study=speaker.seen.study,
            change=fraction(float(effect_S[speaker.row])),
            error=math.sqrt(variance_S[speaker.row]) if np.isfinite(variance_S[speaker.row]) else None,
            seeds=speaker.seen.seeds,
            settings=speaker.seen.settings[level],
            stopped=speaker.seen.stopped[level],
        )
        for speaker in here
    )
    diverged = sum(speaker.seen.diverged[level] for speaker in spoken)
    return LevelRow(
        level=level,
        scopes=scopes,
        pooled=expectation(pooled) if pooled else None,
        diverged=diverged,
        lambdas=tuple(sorted({value for speaker in here for value in speaker.seen.written.get(level, ())})),
    )


def expectation(pooled: Pooled) -> Expectation:
    """Write pooled logarithms as relative changes."""
    return Expectation(
        k=pooled.k,
        mean=fraction(pooled.mean),
        low=fraction(pooled.low),
        high=fraction(pooled.high),
        expect_low=None if pooled.expect_low is None else fraction(pooled.expect_low),
        expect_high=None if pooled.expect_high is None else fraction(pooled.expect_high),
        spread=pooled.spread,
        unlike=pooled.unlike,
    )
