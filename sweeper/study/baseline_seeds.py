"""The seeds that lambda 0 has in a screen beyond those of the settings.

Every comparison of a screen shares lambda 0's noise, so one more run of lambda 0 improves all of them. With k settings,
sqrt(k) times as many runs of lambda 0 as of a setting are optimal for the cost (Dunnett 1955).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sweeper.study.space_size import extras_outside_grid, grid_count

if TYPE_CHECKING:
    from sweeper.study.study import Study

# With 40 settings. More runs add little about lambda 0's level, and against unseen bad runs a run on a seed of its own
# counts half (`sweeper.statistics.screen_noise`).
MOST = 19
SEEDS_END = 2**31


def further_seeds(study: Study) -> tuple[int, ...]:
    """Return the seeds of the screen on which lambda 0 runs alone; none unless the study asks for them."""
    return tuple(itertools.islice(_candidates(study), max(0, _wanted(study) - len(study.screen.seeds))))


def reserved_seeds(study: Study) -> tuple[int, ...]:
    """Return all seeds that may become further seeds, whatever is added to the study; fresh seeds avoid them."""
    wished = study.screen.baseline_seeds
    if wished is None:
        return ()
    return tuple(itertools.islice(_candidates(study), MOST if wished == "auto" else max(wished, MOST)))


def _candidates(study: Study) -> Iterator[int]:
    """Yield the seeds that follow the screen's, but for those that the confirm stage was given."""
    written = study.confirm.seeds if study.confirm and isinstance(study.confirm.seeds, tuple) else ()
    first = max(study.screen.seeds) + 1
    every = itertools.chain(range(first, SEEDS_END), range(first))
    return (seed for seed in every if seed not in study.screen.seeds and seed not in written)


def _wanted(study: Study) -> int:
    seeds, wished = len(study.screen.seeds), study.screen.baseline_seeds
    if wished is None:
        return seeds
    if wished != "auto":
        return wished
    return max(seeds, min(MOST, math.ceil(seeds * math.sqrt(_settings(study)))))


def _settings(study: Study) -> int:
    """Return how many settings share the baseline; in a search an upper limit, since its budget includes lambda 0."""
    if study.screen.trials is None:
        return grid_count(study) + extras_outside_grid(study)
    return max(1, study.screen.trials // len(study.screen.seeds) - 1 - len(study.controls))
