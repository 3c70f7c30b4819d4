"""Who stops at a rung: whole configurations under race and wilcoxon, single trials under Optuna's other pruners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sweeper.search.pruners import StockPruner, Wilcoxon
from sweeper.search.race import Panel, Point
from sweeper.search.store import AUDITED, DROPPED, Entry


class ConfigurationJudge(Protocol):
    """Whoever judges whole configurations by all values heard so far."""

    def hear(self, at: Point, fid: float) -> None:
        """Take a value."""

    def hopeless(self) -> frozenset[str]:
        """Name the configurations (by their cells' keys) that are out; never the baseline."""


def _judge(pruner: str, rungs: Sequence[float]) -> ConfigurationJudge | None:
    if pruner == "race":
        return Panel(rungs)
    return Wilcoxon(rungs) if pruner == "wilcoxon" else None


class Jury:
    """Hears every report and end of a trial, in any order, and says who must stop.

    `condemned` are the configurations that are out; once out they stay out, whatever later seeds show.
    """

    def __init__(self, pruner: str, rungs: Sequence[float], study_name: str) -> None:
        """`pruner` is as in a study's screen; `rungs` are fractions of the budget."""
        self.condemned: set[str] = set()
        self._cells, self._has_news = _judge(pruner, rungs), False
        stock = pruner != "none" and self._cells is None
        self._stock = StockPruner(pruner, len(rungs), study_name) if stock else None

    def hear(self, entry: Entry, rung: int, value: float) -> None:
        """Take a trial's objective at a rung. Controls are judged by single-trial pruners alone: nothing races them."""
        if self._cells and entry.spec.cell.role != "control":
            self._cells.hear(Point(entry.spec.cell.key, entry.spec.seed, rung), value)
            self._has_news = True
        if self._stock:
            self._stock.observe(entry.number, rung, value)

    def dismiss(self, entry: Entry) -> None:
        """Take a trial's end; one that was pruned for its configuration condemns it, also after a restart."""
        if self._stock:
            if entry.final:  # a trial that is audited may still run
                self._stock.finish(entry.number, entry.state, entry.value)
        elif self._cells and (entry.state == "pruned" or entry.outcome in (DROPPED, AUDITED)):
            self.condemned.add(entry.spec.cell.key)

    def deliberate(self) -> None:
        """Judge configurations by all that was heard; does nothing where that was done since."""
        if self._cells and self._has_news:
            self.condemned |= self._cells.hopeless()
            self._has_news = False

    def stops(self, entry: Entry) -> bool:
        """Whether this trial, running and not at its last rung, must stop; never one of the baseline."""
        if entry.spec.cell.role == "baseline":
            return False
        return entry.spec.cell.key in self.condemned or (self._stock is not None and self._stock.dooms(entry.number))
