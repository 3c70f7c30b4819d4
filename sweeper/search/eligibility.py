"""Which settings of a screen are eligible for the confirm stage; `sweeper.coordinator.choose_finalists` picks some."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sweeper.records import Cell
from sweeper.search.store import Entry


def eligible(entries: Iterable[Entry], eliminated: Collection[str]) -> tuple[Cell, ...]:
    """Return the settings of the loss that a confirm stage may take over: complete on a seed, and none eliminated."""
    complete = {entry.spec.cell.key: entry.spec.cell for entry in entries if _has_score(entry)}
    return tuple(cell for key, cell in complete.items() if cell.role == "grid" and key not in eliminated)


def _has_score(entry: Entry) -> bool:
    return entry.state == "complete" and entry.value is not None and entry.value > 0
