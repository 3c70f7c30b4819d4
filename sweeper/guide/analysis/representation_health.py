"""The health of each cell's representation, compared with the baseline's at the same block and step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, StageTable, average, number
from sweeper.guide.schema.results import BlockHealth, CellHealth, RankCorrelation
from sweeper.records import BASELINE_KEY
from sweeper.statistics.rank_agreement import chance_of_agreement, rank_agreement

NORM, RANK, DISTANCE = "feature_norm", "effective_rank", "pairwise_distance"
UNIFORMITY, ALIGNMENT = "uniformity", "alignment"


def cell_health(known: Evidence, table: StageTable) -> tuple[CellHealth, ...]:
    """Measure every cell that reached a rung, at the last step its furthest trials reached."""
    health = (_one(known, table, key) for key in table.keys if table.step_cs[table.row[key]].max() > 0)
    return tuple(
        cell for cell in health if any(value is not None for value in cell.model_dump(exclude={"key", "step"}).values())
    )


def _one(known: Evidence, table: StageTable, key: str) -> CellHealth:
    step, blocks = _furthest(table, key), known.cells[key].dispersion.blocks
    return CellHealth(
        key=key,
        step=step,
        floor_share=_here(table, key, "floor_share"),
        floor_distance=_here(table, key, "floor_distance"),
        norm_ratio=_mean(_ratio(table, key, step, f"{NORM}.block_{block}") for block in blocks),
        effective_rank=_mean(_here(table, key, f"{RANK}.block_{block}") for block in blocks),
        rank_ratio=_mean(_ratio(table, key, step, f"{RANK}.block_{block}") for block in blocks),
        uniformity_change=_mean(_difference(table, key, step, f"{UNIFORMITY}.block_{block}") for block in blocks),
        alignment_ratio=_mean(_ratio(table, key, step, f"{ALIGNMENT}.block_{block}") for block in blocks),
    )


def _furthest(table: StageTable, key: str) -> int:
    return int(table.step_cs[table.row[key]].max())


def _here(table: StageTable, key: str, metric: str) -> float | None:
    return table.furthest(metric)[table.row[key]]


def _ratio(table: StageTable, key: str, step: int, metric: str) -> float | None:
    here, base = _here(table, key, metric), _baseline(table, step, metric)
    return None if here is None or not base else number(here / base)


def _difference(table: StageTable, key: str, step: int, metric: str) -> float | None:
    here, base = _here(table, key, metric), _baseline(table, step, metric)
    return None if here is None or base is None else number(here - base)


def _baseline(table: StageTable, step: int, metric: str) -> float | None:
    return average(table.at(step, metric)[table.row[BASELINE_KEY]]) if BASELINE_KEY in table.row else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return number(np.mean(known)) if known else None


def block_health(table: StageTable, key: str, depth: int) -> tuple[BlockHealth, ...]:
    """Return one cell's health, block by block, at its last step."""
    step = _furthest(table, key)
    blocks = (
        BlockHealth(
            block=block,
            feature_norm=_here(table, key, f"{NORM}.block_{block}"),
            norm_ratio=_ratio(table, key, step, f"{NORM}.block_{block}"),
            effective_rank=_here(table, key, f"{RANK}.block_{block}"),
        )
        for block in range(depth if step else 0)
    )
    return tuple(block for block in blocks if block.feature_norm is not None or block.effective_rank is not None)


def distances(table: StageTable, depth: int) -> tuple[float | None, ...]:
    """Give the baseline's median pairwise distance after each block at its last step, in the units of tau."""
    if BASELINE_KEY not in table.row:
        return (None,) * depth
    return tuple(_here(table, BASELINE_KEY, f"{DISTANCE}.block_{block}") for block in range(depth))


def rank_correlations(health: Iterable[CellHealth], means: Mapping[str, float]) -> tuple[RankCorrelation, ...]:
    """Correlate the ranks of health and mean objective over the finished settings; a description, never a test."""
    finished = [cell for cell in health if cell.key in means]
    named = {
        "share of steps at the floor": [cell.floor_share for cell in finished],
        "distance to the floor": [cell.floor_distance for cell in finished],
        "feature norm / baseline": [cell.norm_ratio for cell in finished],
        "effective rank / baseline": [cell.rank_ratio for cell in finished],
        "uniformity - baseline": [cell.uniformity_change for cell in finished],
        "alignment / baseline": [cell.alignment_ratio for cell in finished],
    }
    objective = [means[cell.key] for cell in finished]
    correlations = (_correlation(name, values, objective) for name, values in named.items())
    return tuple(correlation for correlation in correlations if correlation is not None)


def _correlation(name: str, values: list[float | None], objective: list[float]) -> RankCorrelation | None:
    pairs = [(x, y) for x, y in zip(values, objective, strict=True) if x is not None]
    if not pairs:
        return None
    here, there = zip(*pairs, strict=True)
    agreement = rank_agreement(here, there)
    if agreement is None:
        return None
    return RankCorrelation(
        name=name,
        rho=agreement.rho,
        n=agreement.n,
        low=agreement.low,
        high=agreement.high,
        chance=chance_of_agreement(here, there),
    )
