"""How many fresh seeds the confirm stage takes, chosen from the screen's noise before anything is seen on them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import numpy as np

from sweeper.plan.cells import cells
from sweeper.records import Cell
from sweeper.search.store import Entry
from sweeper.statistics.levels import OBJECTIVE_ALPHA
from sweeper.statistics.noise import hopeful_pairing
from sweeper.statistics.power import needed_seeds
from sweeper.study import Study

FEWEST = 3


def needed_count(study: Study, screened: Iterable[Entry], candidates: Collection[Cell]) -> int | None:
    """Return how many fresh seeds a gain of the margin needs, for a study that leaves it open; None: its limit.

    Chosen from the finished screen, once: see `sweeper.coordinator.finalists`.
    """
    confirm = study.confirm
    if confirm is None or confirm.seeds != "auto":
        return None
    tested = {cell.key for cell in (*candidates, *(cell for cell in cells(study) if cell.mark))}
    sd = _difference_sd(screened)
    gain = -math.log1p(-confirm.margin)
    needed = None if sd is None else needed_seeds(gain, sd, OBJECTIVE_ALPHA / max(1, len(tested)), confirm.power)
    return None if needed is None else max(FEWEST, needed)


def _difference_sd(screened: Iterable[Entry]) -> float | None:
    complete = [entry for entry in screened if entry.state == "complete" and entry.value and entry.value > 0]
    seeds = sorted({entry.spec.seed for entry in complete})
    rows: dict[str, list[float]] = {}
    for entry in complete:
        if entry.spec.cell.role != "control":
            row = rows.setdefault(entry.spec.cell.key, [math.nan] * len(seeds))
            row[seeds.index(entry.spec.seed)] = math.log(entry.value or 1.0)
    baseline = rows.pop("baseline", None)
    if baseline is None or not rows:
        return None
    found = hopeful_pairing(np.array([rows[key] for key in sorted(rows)]), np.array(baseline))
    return None if found is None else found.difference_sd
