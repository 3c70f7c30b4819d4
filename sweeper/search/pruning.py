"""Build a study's pruner and apply it at a rung: some stop whole settings, Optuna's others single trials."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, assert_never

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner

from sweeper.records import Cell
from sweeper.search.optuna_pruners import FACTOR, StockPruner, Wilcoxon
from sweeper.search.race import Point, Race
from sweeper.search.store import AUDITED, DROPPED, Entry
from sweeper.study import Study
from sweeper.study.pruners import Pruner


class ConfigurationJudge(Protocol):
    """A judge of whole configurations, by all values reported so far."""

    def observe(self, at: Point, fid: float) -> None:
        """Take a value."""

    def eliminated(self) -> frozenset[str]:
        """Name the configurations (by their cells' keys) that are out; never the baseline."""


class Judges(NamedTuple):
    """The judge of whole configurations and the one of single trials; None where there is none."""

    cells: ConfigurationJudge | None = None
    stock: StockPruner | None = None


def judges_of(pruner: Pruner, rungs: Sequence[float], study_name: str) -> Judges:
    """Build a study's pruner.

    Optuna's judge single trials, so another seed of a stopped configuration still runs, and seeds are pooled, so a
    hard seed counts against the settings on it.
    """
    match pruner:
        case "none":
            return Judges()
        case "race":
            return Judges(Race(rungs))
        case "wilcoxon":
            return Judges(Wilcoxon(rungs))
        case "median":
            # Stopped when the best value so far is above the median of complete trials at the rung, once five are.
            optunas: BasePruner = MedianPruner()
        case "halving":
            # Every rung but the last is one of Optuna's: the better half, rounded up, of all that ever came goes on.
            optunas = SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        case "hyperband":
            # As many brackets of such halvings as there are rungs, drawn by trial number; bracket b starts to stop at
            # rung b, so that slow starters have a chance, and the last one stops nothing.
            most = FACTOR ** (len(rungs) - 1)
            optunas = HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=FACTOR)
        case _:
            assert_never(pruner)
    return Judges(stock=StockPruner(optunas, len(rungs), study_name))


def is_audited(study: Study, cell: Cell) -> bool:
    """Whether a configuration runs on when the pruner would stop it: a random share, the same at every start."""
    digest = hashlib.sha256(f"{study.name}.audit.{cell.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < study.screen.audit_fraction * 2**64


class Pruning:
    """Takes every report and end of a trial, in any order, and decides which trials must stop.

    `eliminated` are the configurations that are out; once out they stay out, whatever later seeds show.
    """

    def __init__(self, pruner: Pruner, rungs: Sequence[float], study_name: str) -> None:
        """`pruner` is as in a study's screen; `rungs` are fractions of the budget."""
        self.eliminated: set[str] = set()
        self._cells, self._stock = judges_of(pruner, rungs, study_name)
        self._has_news = False

    def observe(self, entry: Entry, rung: int, value: float) -> None:
        """Take a trial's objective at a rung. Controls are judged by single-trial pruners alone: nothing races them."""
        if self._cells and entry.spec.cell.role != "control":
            self._cells.observe(Point(entry.spec.cell.key, entry.spec.seed, rung), value)
            self._has_news = True
        if self._stock:
            self._stock.observe(entry.number, rung, value)

    def ended(self, entry: Entry) -> None:
        """Take a trial's end; one that was pruned for its configuration eliminates it, also after a restart."""
        if self._stock:
            if entry.final:  # a trial that is audited may still run
                self._stock.finish(entry.number, entry.state, entry.value)
        elif self._cells and (entry.state == "pruned" or entry.outcome in (DROPPED, AUDITED)):
            self.eliminated.add(entry.spec.cell.key)

    def update(self) -> None:
        """Judge configurations by all reports; does nothing where none came since."""
        if self._cells and self._has_news:
            self.eliminated |= self._cells.eliminated()
            self._has_news = False

    def stops(self, entry: Entry) -> bool:
        """Whether this trial, running and not at its last rung, must stop; never one of the baseline."""
        if entry.spec.cell.role == "baseline":
            return False
        return entry.spec.cell.key in self.eliminated or (self._stock is not None and self._stock.dooms(entry.number))
