"""Which trial is best so far, and which cells the confirm stage takes over."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sweeper.plan.worth_confirming import ranked
from sweeper.records import Cell, TrialSpec
from sweeper.search.store import Entry
from sweeper.study import Study


class Best(NamedTuple):
    """The complete trial with the lowest objective."""

    trial: TrialSpec
    value: float


def candidates(entries: Iterable[Entry], eliminated: Collection[str], top: int) -> tuple[Cell, ...]:
    """Return the `top` settings of the loss, best first: by mean log objective over their complete seeds.

    None that is eliminated is among them.
    """
    cells: dict[str, Cell] = {}
    logs: dict[str, list[float]] = {}
    for entry in entries:
        cell, value = entry.spec.cell, entry.value
        eligible = cell.role == "grid" and cell.key not in eliminated and _is_complete(entry)
        if eligible and value is not None and value > 0:
            cells[cell.key] = cell
            logs.setdefault(cell.key, []).append(math.log(value))
    return tuple(cells[key] for key in ranked(logs)[:top])


def is_audited(study: Study, cell: Cell) -> bool:
    """Whether a configuration runs on when the pruner would stop it: a random share, the same at every start."""
    digest = hashlib.sha256(f"{study.name}.audit.{cell.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < study.screen.audit_fraction * 2**64


def _is_complete(entry: Entry) -> bool:
    return entry.state == "complete"
