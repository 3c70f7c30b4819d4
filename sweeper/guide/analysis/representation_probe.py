"""How well classes can be read from frozen tokens, by block and noise level, with and without dispersion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sweeper.guide.analysis.stage_table import Evidence, Matrix, StageTable, average, number
from sweeper.guide.schema.probe import Probe, ProbeAccuracy, ProbeArm, ProbeStep
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.resolution import step_of
from trainer.recipe.evaluation import probe_name
from trainer.recipe.metrics import VALIDATION_IMAGES

SHOWN = 2  # settings beside the baseline
_LINEAR = re.compile(r"linear_probe_t(\d+)\.block_(\d+)")


class _Place(NamedTuple):
    """A block and a noise level that were probed."""

    block: int
    level: float

    def name(self, kind: str) -> str:
        return probe_name(kind, self.level, self.block)


def representation_probe(known: Evidence) -> Probe | None:
    """Gather the probes: on fresh seeds where there are any, else on the screen's; None where there are none."""
    for stage in ("confirm", "screen"):
        table = known.stages.get(stage)
        places = _places(table) if table else []
        if table is None or not places or not _is_probed(table, BASELINE_KEY, places):
            continue
        chosen = [key for key in _chosen(known, table) if _is_probed(table, key, places)]
        arms = [_arm(known, table, key, places) for key in (BASELINE_KEY, *chosen[:SHOWN])]
        return Probe(stage=stage, baseline=arms[0], settings=tuple(arms[1:]))
    return None


def _places(table: StageTable) -> list[_Place]:
    matches = (_LINEAR.fullmatch(name) for name in table.metrics)
    return sorted(_Place(int(match[2]), int(match[1]) / 100) for match in matches if match)


def _is_probed(table: StageTable, key: str, places: list[_Place]) -> bool:
    return key in table.row and bool(np.isfinite(table.scores(places[0].name("linear_probe"))[table.row[key]]).any())


def _chosen(known: Evidence, table: StageTable) -> Iterator[str]:
    """The setting with the lowest mean objective, then the marked ones, then the others by their means."""
    means = {key: average(table.logs()[table.row[key]]) for key in table.keys if known.cells[key].role == "grid"}
    ranked = sorted((mean, key) for key, mean in means.items() if mean is not None)
    keys = [key for _, key in ranked]
    yield from dict.fromkeys([*keys[:1], *(key for key in keys if known.cells[key].mark), *keys])


def _arm(known: Evidence, table: StageTable, key: str, places: list[_Place]) -> ProbeArm:
    accuracies = tuple(_accuracies(table, key, places))
    change, low, high = (None, None, None) if key == BASELINE_KEY else _change(table, key, places)
    # Fresh trials are measured at their end alone.
    steps = tuple(_steps(known.main, key, places)) if known.main and key in known.main.row else ()
    return ProbeArm(
        key=key,
        label=known.cells[key].label,
        n=int(np.isfinite(table.scores(places[0].name("linear_probe"))[table.row[key]]).sum()),
        accuracies=accuracies,
        steps=steps if len(steps) > 1 else (),
        change=change,
        low=low,
        high=high,
    )


def _accuracies(table: StageTable, key: str, places: list[_Place]) -> Iterator[ProbeAccuracy]:
    row = table.row[key]
    for place in places:
        linear, knn, cka = (average(table.scores(place.name(kind))[row]) for kind in ("linear_probe", "knn", "cka"))
        if linear is not None:
            yield ProbeAccuracy(block=place.block, level=place.level, linear=linear, neighbours=knn, similarity=cka)


def _steps(table: StageTable, key: str, places: list[_Place]) -> Iterator[ProbeStep]:
    for step in table.steps:
        mean = average(np.array([table.at(step, place.name("linear_probe"))[table.row[key]] for place in places]))
        if mean is not None:
            yield ProbeStep(step=step, linear=mean)


def _change(table: StageTable, key: str, places: list[_Place]) -> tuple[float | None, float | None, float | None]:
    """The mean paired difference to the baseline over blocks and levels, and its 95 % t-interval over seeds."""
    scores: list[Matrix] = [table.scores(place.name("linear_probe")) for place in places]
    by_seed = np.mean([score_CS[table.row[key]] - score_CS[table.row[BASELINE_KEY]] for score_CS in scores], axis=0)
    seen = by_seed[np.isfinite(by_seed)]
    if not len(seen):
        return None, None, None
    mean = float(seen.mean())
    if len(seen) < 2:
        return mean, None, None
    # Accuracies are shares of images: seeds that agree do so to within one of them, at one place.
    step = step_of(np.stack(scores), VALIDATION_IMAGES) / len(places)
    spread = max(float(seen.std(ddof=1)), step)
    reach = float(spread / np.sqrt(len(seen)) * stdtrit(len(seen) - 1, 1 - INTERVAL_ALPHA / 2))
    return mean, number(mean - reach), number(mean + reach)
