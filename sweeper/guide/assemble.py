"""From a study's record to its guidance: pure statistics, from the ledger alone, on any machine."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from sweeper.guide.advice import SATURATED, Findings, next_steps, rules, unstopped
from sweeper.guide.contrast import changes, detectable, needed_seeds, pairing
from sweeper.guide.evidence import BASELINE, Evidence, average, evidence, number
from sweeper.guide.guidance import (
    CellResult,
    Change,
    CurvePoint,
    Guidance,
    Highlight,
    Ink,
    Outcome,
    OutcomeRow,
    SeedAudit,
    StageResult,
)
from sweeper.guide.health import block_health, cell_health, rank_correlations
from sweeper.guide.layout import grid_pages
from sweeper.guide.prior_art import prior_art
from sweeper.guide.protocol import ORDER, cost, protocol_items, provenance_items, recipe_items
from sweeper.guide.verdict import summary, verdict
from sweeper.records import Cell, Stage, StudyRecord
from sweeper.study import Confirm, Study

OUTCOMES = ("val_loss", "kid", "precision", "recall", "nearest_train_ratio")


def guidance(record: StudyRecord) -> Guidance:
    """Work out everything a guide says about a study, finished or not."""
    study, known = record.study, evidence(record)
    stages = _stages(known)
    main = stages[0]
    whole = [one for one in main.cells if one.mean is not None]
    lowest = next(iter(unstopped(main.cells) or sorted(whole, key=lambda one: (one.mean or 0.0, one.key))), None)
    found = Findings(record, main, stages[1] if len(stages) > 1 else None, lowest, _seed_audit(study, known, main))
    pages = grid_pages(study, {one.key: one.cell for one in main.cells})
    on_grid = {key for page in pages for row in page.keys for key in row}
    health = cell_health(known, main.stage)
    facts = [trial.facts for trial in record.trials if trial.facts]
    spent = cost(record, known)
    return Guidance(
        name=study.name,
        question=study.question,
        tuning=study.tuning,
        objective=study.objective,
        verdict=verdict(found),
        summary=summary(record, main, spent.states),
        recipe=recipe_items(study),
        stages=stages,
        pages=pages,
        off_grid=tuple(one.key for one in main.cells if one.key not in on_grid),
        highlights=_highlights(known, main, lowest),
        health=health,
        correlations=rank_correlations(health, {one.key: one.mean for one in whole if one.mean is not None}),
        seeds=found.seeds,
        outcomes=_outcomes(known, main),
        rules=rules(found),
        prior_art=prior_art(main.cells, study.recipe.model.depth),
        next_steps=next_steps(found),
        cost=spent,
        protocol=protocol_items(study, facts),
        provenance=provenance_items(record, facts),
    )


def _stages(known: Evidence) -> tuple[StageResult, ...]:
    stages: tuple[Stage, ...] = ("screen", "confirm")
    found = tuple(_stage(known, stage) for stage in stages if not known.at(stage).empty)
    return found or (StageResult(stage="screen", seeds=(), baseline=None, controls=(), cells=()),)


def _stage(known: Evidence, stage: Stage) -> StageResult:
    trials, scores = known.at(stage), known.scores(stage)
    moments = pd.DataFrame({"n": scores.count(axis=1), "mean": scores.mean(axis=1), "sd": scores.std(axis=1)})
    change = changes(scores)
    parts = {str(key): part for key, part in trials.groupby("cell", sort=False)}
    results = [
        _cell_result(key, cell, parts[key], moments, change.get(key))
        for key, cell in known.cells.items()
        if key in parts
    ]
    return StageResult(
        stage=stage,
        seeds=tuple(sorted({int(seed) for seed in trials["seed"]})),
        baseline=next((one for one in results if one.key == BASELINE), None),
        controls=tuple(one for one in results if one.cell.role == "control"),
        cells=tuple(one for one in results if one.cell.role == "grid"),
    )


def _cell_result(
    key: str, cell: Cell, trials: pd.DataFrame, moments: pd.DataFrame, change: Change | None
) -> CellResult:
    floor, states = average(trials, "floor_share"), trials["state"].value_counts()
    pruned = trials.loc[trials["state"].eq("pruned"), "step"]
    stopped = pruned[pruned > 0]
    return CellResult(
        key=key,
        cell=cell,
        states={state: int(states[state]) for state in ORDER if state in states},
        n=int(moments["n"].get(key, 0)),
        mean=number(moments["mean"].get(key)),
        sd=number(moments["sd"].get(key)),
        stopped_at=int(stopped.max()) if len(stopped) else None,
        not_started=len(pruned) - len(stopped),
        floor_share=floor,
        saturated=floor is not None and floor > SATURATED,
        change=change,
    )


def _seed_audit(study: Study, known: Evidence, main: StageResult) -> SeedAudit:
    confirm, scores = study.confirm or Confirm(), known.scores(main.stage)
    plan = SeedAudit(margin=confirm.margin, top=confirm.top, planned=len(confirm.seeds))
    if BASELINE not in scores.index:
        return plan
    base = pd.Series(scores.loc[BASELINE], dtype=float).dropna()
    sd = number(base[base > 0].apply(np.log).std())
    hopeful = [one.key for one in main.cells if one.change and one.change.side != "above"]
    pool = pairing(scores, hopeful) or pairing(scores, [one.key for one in main.cells])
    if pool is None:
        return plan.model_copy(update={"baseline_sd": sd})
    return SeedAudit(
        margin=confirm.margin,
        top=confirm.top,
        planned=len(confirm.seeds),
        baseline_sd=sd,
        difference_sd=pool.difference_sd,
        cells=pool.cells,
        pairing=pool.correlation,
        width_ratio=pool.width_ratio,
        needed=needed_seeds(confirm.margin, pool.difference_sd, confirm.top),
        detectable=detectable(len(confirm.seeds), pool.difference_sd, confirm.top),
    )


def _highlights(known: Evidence, main: StageResult, lowest: CellResult | None) -> tuple[Highlight, ...]:
    measured = [one for one in main.cells if one.mean is not None]
    highest = max(measured, key=lambda one: one.mean or 0.0, default=None)
    marked = next((one for one in main.cells if one.cell.mark), None)
    inks: tuple[tuple[Ink, CellResult | None], ...] = (
        ("baseline", main.baseline),
        ("lowest", lowest),
        ("marked", marked),
        ("highest", highest),
    )
    picked: dict[str, tuple[Ink, CellResult]] = {}
    for ink, one in inks:
        if one is not None:
            picked.setdefault(one.key, (ink, one))
    return tuple(
        Highlight(
            ink=ink,
            key=key,
            label=one.cell.label,
            curve=_curve(known, main.stage, key),
            blocks=block_health(known, main.stage, key),
        )
        for key, (ink, one) in picked.items()
    )


def _curve(known: Evidence, stage: Stage, key: str) -> tuple[CurvePoint, ...]:
    rungs = known.rungs
    mine = rungs[(rungs["stage"] == stage) & (rungs["cell"] == key) & rungs[known.objective].notna()]
    # Survivors alone: a mean that loses its worst seeds at a rung would fall there by itself.
    done = mine[mine["state"] == "complete"]
    points = (done if len(done) else mine).groupby("step")[known.objective].agg(["count", "mean", "min", "max"])
    return tuple(
        CurvePoint(step=int(step), n=int(n), mean=float(mean), low=float(low), high=float(high))
        for step, n, mean, low, high in points.itertuples()
        if np.isfinite(mean)
    )


def _outcomes(known: Evidence, main: StageResult) -> tuple[OutcomeRow, ...]:
    trials = known.at(main.stage)
    done = trials[trials["state"] == "complete"]
    metrics = [str(column) for name in OUTCOMES for column in sorted(map(str, done)) if _is_metric(column, name)]
    if done.empty or not metrics:
        return ()
    grouped = done.groupby("cell")[metrics]
    table = {"n": grouped.count(), "mean": grouped.mean(), "sd": grouped.std()}
    results = [one for one in (main.baseline, *main.rows) if one is not None and one.key in table["n"].index]
    rows = (
        OutcomeRow(key=one.key, label=one.cell.label, outcomes=_of_cell(table, one.key, metrics)) for one in results
    )
    return tuple(row for row in rows if row.outcomes)


def _is_metric(column: str, name: str) -> bool:
    rest = column.removeprefix(name)
    return column.startswith(name) and (not rest or rest[1:2].isdigit())


def _of_cell(table: dict[str, pd.DataFrame], key: str, metrics: Iterable[str]) -> tuple[Outcome, ...]:
    found = ((metric, *(number(table[name].loc[key, metric]) for name in ("n", "mean", "sd"))) for metric in metrics)
    return tuple(
        Outcome(metric=metric, mean=mean, sd=sd, n=int(n)) for metric, n, mean, sd in found if n and mean is not None
    )
