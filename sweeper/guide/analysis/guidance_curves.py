"""Is the gain smaller with guidance? Every arm of the confirm stage over the scales it was measured at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.stage_table import BASELINE, Evidence, Matrix, StageTable, average
from sweeper.guide.schema.results import Change, GuidanceCurve, GuidanceLength, GuidancePoint
from sweeper.statistics.levels import INTERVAL_ALPHA
from sweeper.statistics.paired_tests import Paired
from trainer.recipe import EvalRecipe


def guidance_curves(known: Evidence) -> tuple[GuidanceCurve, ...]:
    """Return the baseline's curve and, after it, those of the other arms; nothing where none was measured."""
    table, evaluation = known.stages.get("confirm"), known.study.recipe.eval
    if table is None or not evaluation.cfg_curve or BASELINE not in table.row:
        return ()
    base = _best(table, evaluation, BASELINE)
    curves = (_curve(known, table, key, base) for key in table.keys)
    return tuple(curve for curve in curves if curve)


def _curve(known: Evidence, table: StageTable, key: str, base: float | None) -> GuidanceCurve | None:
    evaluation, best = known.study.recipe.eval, _best(table, known.study.recipe.eval, key)
    if best is None:
        return None
    return GuidanceCurve(
        key=key,
        label=known.cells[key].label,
        samples=evaluation.curve_samples,
        points=_points(table, evaluation, key),
        best=best,
        change_at_best=None if base is None else _change(table, evaluation, key, best, base),
        lengths=_lengths(table, evaluation, key),
    )


def _lengths(table: StageTable, evaluation: EvalRecipe, key: str) -> tuple[GuidanceLength, ...]:
    """Return the arm's curve at every step it was measured at; nothing where that is the end alone."""
    found = [(step, _points(table, evaluation, key, step)) for step in table.steps]
    lengths = tuple(GuidanceLength(step=step, points=points) for step, points in found if points)
    return lengths if len(lengths) > 1 else ()


def _points(table: StageTable, evaluation: EvalRecipe, key: str, step: int | None = None) -> tuple[GuidancePoint, ...]:
    points = (_point(table, evaluation, key, scale, step) for scale in evaluation.cfg_curve)
    return tuple(point for point in points if point)


def _point(table: StageTable, evaluation: EvalRecipe, key: str, scale: float, step: int | None) -> GuidancePoint | None:
    row = table.row[key]
    fid, precision, recall = (
        average(_scores(table, evaluation.at_scale(metric, scale), step)[row])
        for metric in ("fid", "precision", "recall")
    )
    if fid is None:
        return None
    change = _change(table, evaluation, key, scale, scale, step)
    return GuidancePoint(scale=scale, fid=fid, precision=precision, recall=recall, change=change)


def _best(table: StageTable, evaluation: EvalRecipe, key: str) -> float | None:
    """Return the scale with an arm's lowest mean FID."""
    found = {scale: average(_fids(table, evaluation, scale)[table.row[key]]) for scale in evaluation.cfg_curve}
    known = {scale: fid for scale, fid in found.items() if fid is not None}
    return min(known, key=lambda scale: known[scale]) if known else None


def _change(
    table: StageTable, evaluation: EvalRecipe, key: str, scale: float, base_scale: float, step: int | None = None
) -> Change | None:
    """Compare an arm at one scale with the baseline at another, seed by seed; both after `step` steps or at the end."""
    if key == BASELINE:
        return None
    here, base = (np.log(_positive(_fids(table, evaluation, at, step))) for at in (scale, base_scale))
    differences = here[table.row[key]] - base[table.row[BASELINE]]
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return None
    ends: Sequence[float] = Paired(differences).interval(INTERVAL_ALPHA) if len(differences) > 1 else ()
    return change_of(len(differences), float(differences.mean()), *ends)


def _fids(table: StageTable, evaluation: EvalRecipe, scale: float, step: int | None = None) -> Matrix:
    return _scores(table, evaluation.at_scale("fid", scale), step)


def _scores(table: StageTable, metric: str, step: int | None) -> Matrix:
    """Return a metric of complete trials, at the end or after so many steps, [C, S]."""
    return table.scores(metric) if step is None else np.where(table.complete_cs, table.at(step, metric), np.nan)


def _positive(values: Matrix) -> Matrix:
    return np.where(values > 0, values, np.nan)
