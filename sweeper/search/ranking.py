"""Which trial is best so far, and which cells the confirm stage may take over."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sweeper.records import Cell, TrialSpec
from sweeper.search.store import Entry
from sweeper.study import Study


class Best(NamedTuple):
    """The complete trial with the lowest objective."""

    trial: TrialSpec
    value: float


def eligible(entries: Iterable[Entry], eliminated: Collection[str]) -> tuple[Cell, ...]:
    """Return the settings of the loss that a confirm stage may take over: complete on a seed, and none eliminated."""
    complete = {entry.spec.cell.key: entry.spec.cell for entry in entries if _has_score(entry)}
    return tuple(cell for key, cell in complete.items() if cell.role == "grid" and key not in eliminated)


def is_audited(study: Study, cell: Cell) -> bool:
    """Whether a configuration runs on when the pruner would stop it: a random share, the same at every start."""
    digest = hashlib.sha256(f"{study.name}.audit.{cell.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < study.screen.audit_fraction * 2**64


def _has_score(entry: Entry) -> bool:
    return entry.state == "complete" and entry.value is not None and entry.value > 0
