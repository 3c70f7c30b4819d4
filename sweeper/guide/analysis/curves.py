"""Cells with their objective by step and health by block: a few for the figures, more for the HTML page."""

from __future__ import annotations

import numpy as np

from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.analysis.representation_health import block_health
from sweeper.guide.analysis.stage_table import Evidence, StageTable
from sweeper.guide.schema.results import CellResult, CurvePoint, Highlight, Ink, StageResult, Trace

MOST_TRACED = 200  # settings; with 28 blocks each they are half a megabyte of guide.json


def highlights(known: Evidence, main: StageResult, lowest: CellResult | None) -> tuple[Highlight, ...]:
    """Pick baseline, lowest, first marked and highest cell, each once."""
    table = known.main
    measured = [cell for cell in main.cells if cell.mean is not None]
    highest = max(measured, key=lambda cell: cell.mean or 0.0, default=None)
    marked = next((cell for cell in main.cells if cell.cell.mark), None)
    inks: tuple[tuple[Ink, CellResult | None], ...] = (
        ("baseline", main.baseline),
        ("lowest", lowest),
        ("marked", marked),
        ("highest", highest),
    )
    picked: dict[str, tuple[Ink, CellResult]] = {}
    for ink, cell in inks:
        if cell is not None:
            picked.setdefault(cell.key, (ink, cell))
    recipe, metric = known.study.recipe, known.study.minimised.name(last=False)
    return tuple(
        Highlight(
            ink=ink,
            key=key,
            label=cell.cell.label,
            curve=_curve(table, key, metric) if table else (),
            blocks=block_health(table, key, len(recipe.model.taps)) if table else (),
        )
        for key, (ink, cell) in picked.items()
    )


def traces(known: Evidence, main: StageResult) -> tuple[Trace, ...]:
    """Trace the baseline, the controls and the settings: all, or the lowest means and the marked ones of very many."""
    table, settings = known.main, list(main.cells)
    if table is None:
        return ()
    if len(settings) > MOST_TRACED:
        settings.sort(key=lambda arm: (not arm.cell.mark, arm.mean is None, arm.mean or 0.0, arm.key))
    arms = (*((main.baseline,) if main.baseline else ()), *main.controls, *settings[:MOST_TRACED])
    metric, depth = known.study.minimised.name(last=False), len(known.study.recipe.model.taps)
    every = (
        Trace(key=arm.key, curve=_curve(table, arm.key, metric), blocks=block_health(table, arm.key, depth))
        for arm in arms
    )
    return tuple(arm for arm in every if arm.curve or arm.blocks)


def _curve(table: StageTable, key: str, metric: str) -> tuple[CurvePoint, ...]:
    row = table.row[key]
    # Survivors alone: a mean would fall at a rung simply because its worst seeds stop there.
    done = table.complete_cs[row]
    points = ((step, table.at(step, metric)[row]) for step in table.steps)
    kept = ((step, values[done] if done.any() else values) for step, values in points)
    seen = ((step, values[np.isfinite(values) & (values > 0)]) for step, values in kept)
    return tuple(
        CurvePoint(step=step, n=len(values), mean=at.mean, low=float(values.min()), high=float(values.max()))
        for step, values in seen
        if (at := geometric_mean(np.log(values)))
    )
