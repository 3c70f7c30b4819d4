"""Is the gain smaller with guidance? Every arm of the confirm stage over the scales it was measured at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.analysis.stage_table import Evidence, Matrix, StageTable, average
from sweeper.guide.schema.results import Change, GeometricMean, GuidanceCurve, GuidanceLength, GuidancePoint
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.paired_tests import Paired
from trainer.recipe import EvalRecipe


def guidance_curves(known: Evidence) -> tuple[GuidanceCurve, ...]:
    """Return the baseline's curve and, after it, those of the other arms; nothing where none was measured."""
    table, evaluation = known.stages.get("confirm"), known.study.recipe.eval
    if table is None or not evaluation.cfg_curve or BASELINE_KEY not in table.row:
        return ()
    base = _best(table, evaluation, BASELINE_KEY)
    curves = (_curve(known, table, key, base) for key in table.keys)
    return tuple(curve for curve in curves if curve)


def _curve(known: Evidence, table: StageTable, key: str, base: float | None) -> GuidanceCurve | None:
    evaluation, best = known.study.recipe.eval, _best(table, known.study.recipe.eval, key)
    if best is None:
        return None
    met = None if base is None else _against(table, evaluation, key, best, base)
    return GuidanceCurve(
        key=key,
        label=known.cells[key].label,
        samples=evaluation.curve_samples,
        points=_points(table, evaluation, key),
        best=best,
        change_at_best=met.change if met else None,
        against_at_best=met.base.mean if met else None,
        lengths=_lengths(table, evaluation, key),
    )


def _lengths(table: StageTable, evaluation: EvalRecipe, key: str) -> tuple[GuidanceLength, ...]:
    """Return the arm's curve at every step it was measured at; nothing where that is the end alone."""
    measured = [(step, _points(table, evaluation, key, step)) for step in table.steps]
    lengths = tuple(GuidanceLength(step=step, points=points) for step, points in measured if points)
    return lengths if len(lengths) > 1 else ()


def _points(table: StageTable, evaluation: EvalRecipe, key: str, step: int | None = None) -> tuple[GuidancePoint, ...]:
    points = (_point(table, evaluation, key, scale, step) for scale in evaluation.cfg_curve)
    return tuple(point for point in points if point)


def _point(table: StageTable, evaluation: EvalRecipe, key: str, scale: float, step: int | None) -> GuidancePoint | None:
    row = table.row[key]
    precision, recall = (
        average(_scores(table, evaluation.at_scale(metric, scale), step)[row]) for metric in ("precision", "recall")
    )
    met = _against(table, evaluation, key, scale, scale, step)
    own = met.own if met else geometric_mean(_logs(table, evaluation, scale, step)[row])
    if own is None:
        return None
    return GuidancePoint(
        scale=scale,
        fid=own.mean,
        precision=precision,
        recall=recall,
        change=met.change if met else None,
        against=met.base.mean if met else None,
    )


def _best(table: StageTable, evaluation: EvalRecipe, key: str) -> float | None:
    """Return the scale with an arm's lowest mean FID."""
    averages = {
        scale: geometric_mean(_logs(table, evaluation, scale)[table.row[key]]) for scale in evaluation.cfg_curve
    }
    known = {scale: at.mean for scale, at in averages.items() if at is not None}
    return min(known, key=lambda scale: known[scale]) if known else None


class _Against(NamedTuple):
    # An arm against the baseline, on the seeds that they share.
    change: Change
    own: GeometricMean
    base: GeometricMean


def _against(
    table: StageTable, evaluation: EvalRecipe, key: str, scale: float, base_scale: float, step: int | None = None
) -> _Against | None:
    """Compare an arm at one scale with the baseline at another, seed by seed; both after `step` steps or at the end."""
    if key == BASELINE_KEY:
        return None
    own_S = _logs(table, evaluation, scale, step)[table.row[key]]
    base_S = _logs(table, evaluation, base_scale, step)[table.row[BASELINE_KEY]]
    shared_S = np.isfinite(own_S - base_S)
    own, base = geometric_mean(own_S[shared_S]), geometric_mean(base_S[shared_S])
    if own is None or base is None:
        return None
    differences = own_S[shared_S] - base_S[shared_S]
    ends: Sequence[float] = Paired(differences).interval(INTERVAL_ALPHA) if len(differences) > 1 else ()
    return _Against(change_of(len(differences), float(differences.mean()), *ends), own, base)


def _logs(table: StageTable, evaluation: EvalRecipe, scale: float, step: int | None = None) -> Matrix:
    """Return the log FID of complete trials at a scale, [C, S]; NaN where it is not positive."""
    fids = _scores(table, evaluation.at_scale("fid", scale), step)
    return np.asarray(np.log(np.where(fids > 0, fids, np.nan)))


def _scores(table: StageTable, metric: str, step: int | None) -> Matrix:
    """Return a metric of complete trials, at the end or after so many steps, [C, S]."""
    return table.scores(metric) if step is None else np.where(table.complete_cs, table.at(step, metric), np.nan)
