"""Whether two knobs interact where settings form no grid, as after a search, where each has its own values."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np

from sweeper.guide.analysis.knob_effects import acts, is_whole
from sweeper.guide.analysis.stage_table import Evidence, Matrix
from sweeper.guide.schema.statements import KnobPair
from sweeper.statistics.factors import FTest, Vector, smooth_interaction
from sweeper.study.knobs import LAMBDA, TAU, Knob


def dead(saturated: Collection[str], pair: Sequence[Knob]) -> set[str]:
    """Return the settings at which one of these knobs has no effect, since the loss is at its floor."""
    return set(saturated) if any(knob.needs_gradient for knob in pair) else set()


def not_varied(saturated: Collection[str], pair: Sequence[Knob]) -> str:
    """Say which settings do not vary both knobs."""
    which = "unsaturated settings" if dead(saturated, pair) else "settings that have both"
    return f"the {which} do not vary both"


def pair_of(names: tuple[str, str], tested: FTest | None, settings: int) -> KnobPair:
    """Return the result of a test of two knobs, not yet corrected for the rest of its family."""
    if tested is None:
        return KnobPair(knobs=names, reason="too few settings and seeds to test it", settings=settings)
    return KnobPair(
        knobs=names,
        f=tested.f,
        df=tested.df,
        df_residual=tested.df_residual,
        p=tested.p,
        size=math.expm1(tested.size),
        settings=settings,
    )


def scattered_pairs(
    known: Evidence, settings: Collection[str], saturated: Collection[str], varied: Sequence[Knob]
) -> list[KnobPair]:
    """Test whether the product of two knobs adds to a curve in every knob; lambda and tau by their logarithms."""
    gone, pairs = dead(saturated, varied), list(combinations(varied, 2))
    kept = [key for key in settings if key not in gone and all(acts(known, key, knob) for knob in varied)]
    keys, y_C = _on_all_seeds(known, kept)
    if not keys:
        return [KnobPair(knobs=(row.name, column.name), reason=not_varied(saturated, varied)) for row, column in pairs]
    values = {knob: [knob.of(known.cells[key].dispersion) for key in keys] for knob in varied}
    columns = {knob: _columns(knob, values[knob]) for knob in varied}
    mains = [_curve(knob, columns[knob]) for knob in varied]
    tested = []
    for row, column in pairs:
        names = (row.name, column.name)
        if min(len(set(values[knob])) for knob in (row, column)) < 2:
            tested.append(KnobPair(knobs=names, reason=not_varied(saturated, varied), settings=len(keys)))
        else:
            tested.append(pair_of(names, smooth_interaction(y_C, mains, columns[row], columns[column]), len(keys)))
    return tested


def _on_all_seeds(known: Evidence, settings: Sequence[str]) -> tuple[list[str], Vector]:
    """Return the settings complete on the most seeds, and their mean logarithms, in which seed effects cancel."""
    table = known.main
    if table is None:
        return [], np.array([])
    logs, n_C = table.logs(), np.isfinite(table.logs()).sum(axis=1)
    whole = [key for key in settings if key in table.row and n_C[table.row[key]] and is_whole(table, key)]
    most = max((n_C[table.row[key]] for key in whole), default=0)
    keys = [key for key in whole if n_C[table.row[key]] == most]
    rows = [table.row[key] for key in keys]
    return keys, np.nanmean(logs[rows], axis=1) if rows else np.array([])


def _columns(knob: Knob, values_C: Sequence[object]) -> Matrix:
    """Return a knob as columns, [C, K]: one of logarithms about 0, or one for every level but the first, centred."""
    if knob in (LAMBDA, TAU):
        scale_C = np.log(np.array(values_C, dtype=np.float64))
        return np.asarray(scale_C - scale_C.mean())[:, None]
    levels = list(dict.fromkeys(values_C))
    dummies_CL = np.array([[value == level for level in levels[1:]] for value in values_C], dtype=np.float64)
    return np.asarray(dummies_CL - dummies_CL.mean(axis=0))


def _curve(knob: Knob, columns_CK: Matrix) -> Matrix:
    return np.hstack([columns_CK, columns_CK**2]) if knob in (LAMBDA, TAU) else columns_CK
