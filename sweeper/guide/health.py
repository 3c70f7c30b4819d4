"""What the loss did to each cell's representation, beside the baseline at the same block and step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from sweeper.guide.evidence import BASELINE, Evidence, average, number
from sweeper.guide.guidance import BlockHealth, CellHealth, RankCorrelation
from sweeper.records import Stage

NORM, RANK = "feature_norm", "effective_rank"
FEWEST_CELLS = 4


def cell_health(evidence: Evidence, stage: Stage) -> tuple[CellHealth, ...]:
    """Measure every cell that reached a rung, at the last step its furthest trials reached."""
    reference = _reference(evidence, stage)
    trials = evidence.at(stage)
    reached = trials[trials["step"] > 0]
    found = {str(key): part for key, part in reached.groupby("cell", sort=False)}
    order = [key for key in evidence.cells if key in found]
    health = (_one(key, evidence.cells[key].dispersion.blocks, found[key], reference) for key in order)
    return tuple(
        one for one in health if any(value is not None for value in one.model_dump(exclude={"key", "step"}).values())
    )


def _reference(evidence: Evidence, stage: Stage) -> pd.DataFrame:
    rungs = evidence.rungs
    baseline = rungs[(rungs["stage"] == stage) & (rungs["cell"] == BASELINE)]
    columns = [column for column in baseline if str(column).startswith((NORM, RANK))]
    return baseline.groupby("step")[columns].mean()


def _one(key: str, blocks: tuple[int, ...], trials: pd.DataFrame, reference: pd.DataFrame) -> CellHealth:
    step = int(trials["step"].max())
    last = trials[trials["step"] == step]
    return CellHealth(
        key=key,
        step=step,
        floor_share=average(last, "floor_share"),
        floor_distance=average(last, "floor_distance"),
        norm_ratio=_mean(_ratio(last, f"{NORM}.block_{block}", step, reference) for block in blocks),
        effective_rank=_mean(average(last, f"{RANK}.block_{block}") for block in blocks),
        rank_ratio=_mean(_ratio(last, f"{RANK}.block_{block}", step, reference) for block in blocks),
    )


def _ratio(trials: pd.DataFrame, column: str, step: int, reference: pd.DataFrame) -> float | None:
    here = average(trials, column)
    if here is None or column not in reference or step not in reference.index:
        return None
    base = number(reference.loc[step, column])
    return number(here / base) if base else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return number(np.mean(known)) if known else None


def block_health(evidence: Evidence, stage: Stage, key: str) -> tuple[BlockHealth, ...]:
    """Measure one cell's every block at its last step."""
    trials = evidence.at(stage)
    trials = trials[(trials["cell"] == key) & (trials["step"] > 0)]
    if trials.empty:
        return ()
    step, reference = int(trials["step"].max()), _reference(evidence, stage)
    last = trials[trials["step"] == step].dropna(axis="columns", how="all")
    names = [str(column).partition(".block_") for column in last if str(column).startswith((NORM, RANK))]
    return tuple(
        BlockHealth(
            block=block,
            feature_norm=average(last, f"{NORM}.block_{block}"),
            norm_ratio=_ratio(last, f"{NORM}.block_{block}", step, reference),
            effective_rank=average(last, f"{RANK}.block_{block}"),
        )
        for block in sorted({int(index) for _, _, index in names if index.isdigit()})
    )


def rank_correlations(health: Iterable[CellHealth], means: Mapping[str, float]) -> tuple[RankCorrelation, ...]:
    """Rank health against the mean objective over the finished settings; a description, never a test."""
    finished = [one for one in health if one.key in means]
    named = {
        "share of steps at the floor": [one.floor_share for one in finished],
        "distance to the floor": [one.floor_distance for one in finished],
        "feature norm / baseline": [one.norm_ratio for one in finished],
        "effective rank / baseline": [one.rank_ratio for one in finished],
    }
    objective = [means[one.key] for one in finished]
    found = (_spearman(name, values, objective) for name, values in named.items())
    return tuple(one for one in found if one is not None)


def _spearman(name: str, values: list[float | None], objective: list[float]) -> RankCorrelation | None:
    pairs = [(x, y) for x, y in zip(values, objective, strict=True) if x is not None]
    if len(pairs) < FEWEST_CELLS or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return None
    rho = number(cast(float, spearmanr(*zip(*pairs, strict=True)).statistic))
    return None if rho is None else RankCorrelation(name=name, rho=rho, n=len(pairs))
