"""A study's record as tables: cells by seeds, in reading order, from which everything else in a guide is computed.

Shapes: C cells, S seeds; NaN where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sweeper.records import BASELINE_KEY, Cell, Stage, StudyRecord, TrialRecord, TrialState
from sweeper.statistics.moments import moments
from sweeper.statistics.resolution import least_noise
from sweeper.study import Study
from sweeper.study.knobs import reading_order
from sweeper.study.objective import Objective

STAGES: tuple[Stage, ...] = ("screen", "confirm")

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StageTable:
    """The trials of one stage: `keys` name the rows, `seeds` the columns; None where there is no trial."""

    stage: Stage
    minimised: Objective
    keys: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: tuple[tuple[TrialRecord | None, ...], ...]

    @property
    def objective(self) -> str:
        """The name of what the study minimises."""
        return self.minimised.name()

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each cell."""
        return {key: place for place, key in enumerate(self.keys)}

    @cached_property
    def step_cs(self) -> npt.NDArray[np.int64]:
        """The last step each trial was measured at, [C, S]; 0 for none."""
        return np.array([[_last_step(trial) for trial in row] for row in self.trials], dtype=np.int64)

    @cached_property
    def shared_seeds(self) -> tuple[int, ...]:
        """The seeds of settings and controls, not the baseline's further ones; the baseline's where it ran alone."""
        rows = [row for key, row in zip(self.keys, self.trials, strict=True) if key != BASELINE_KEY]
        shared = tuple(seed for at, seed in enumerate(self.seeds) if any(row[at] for row in rows))
        return shared or self.seeds

    def states(self, key: str) -> list[TrialState]:
        """The states of a cell's trials."""
        return [trial.state for trial in self.trials[self.row[key]] if trial]

    def audited(self, key: str) -> bool:
        """Whether the pruner would have stopped this cell, which ran on."""
        return any(trial.audited for trial in self.trials[self.row[key]] if trial)

    def _in_state(self, state: TrialState) -> Mask:
        return np.array([[trial is not None and trial.state == state for trial in row] for row in self.trials])

    @cached_property
    def complete_cs(self) -> Mask:
        """Which trials are complete, [C, S]."""
        return self._in_state("complete")

    @cached_property
    def pruned_cs(self) -> Mask:
        """Which trials were pruned, [C, S]."""
        return self._in_state("pruned")

    def furthest(self, metric: str) -> list[float | None]:
        """A metric's mean over the trials that came furthest, cell by cell; None where they lack it."""
        if metric not in self._furthest:
            step_CS = self.step_cs
            here_CS = step_CS == step_CS.max(axis=1, keepdims=True)
            self._furthest[metric] = means(np.where(here_CS, self.last(metric), np.nan))
        return self._furthest[metric]

    @cached_property
    def _logs(self) -> dict[str, Matrix]:
        return {}

    @cached_property
    def _furthest(self) -> dict[str, list[float | None]]:
        return {}

    def last(self, metric: str) -> Matrix:
        """A metric at the last rung of every trial, [C, S]."""
        return self._last.get(metric, self._nothing)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of last rungs, sorted."""
        return tuple(sorted(self._last))

    def at(self, step: int, metric: str) -> Matrix:
        """A metric at one step, [C, S]."""
        return self._at.get(step, {}).get(metric, self._nothing)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The steps anything was measured at, rising."""
        return tuple(sorted(self._at))

    def scores(self, metric: str | None = None) -> Matrix:
        """The objective (or another metric) of complete trials, [C, S]."""
        return np.where(self.complete_cs, self.last(metric or self.objective), np.nan)

    def logs(self, metric: str | None = None) -> Matrix:
        """The logarithm of `scores`; NaN where that is not positive."""
        name = metric or self.objective
        if name not in self._logs:
            scores = self.scores(name)
            self._logs[name] = np.log(np.where(scores > 0, scores, np.nan))
        return self._logs[name]

    def least_noise(self, metric: str | None = None) -> float:
        """The least standard deviation of differences of a metric's logarithm; 0 for a continuous metric."""
        name = metric or self.objective
        return least_noise(name, self.scores(name))

    @cached_property
    def _nothing(self) -> Matrix:
        return np.full((len(self.keys), len(self.seeds)), np.nan)

    @cached_property
    def _at(self) -> dict[int, dict[str, Matrix]]:
        by_step: dict[int, dict[str, Matrix]] = {}
        for i, row in enumerate(self.trials):
            for j, trial in enumerate(row):
                for rung in trial.rungs if trial else ():
                    tables = by_step.setdefault(rung.step, {})
                    for name, value in (self.minimised.inverted(rung.metrics) | rung.metrics).items():
                        if name not in tables:
                            tables[name] = self._nothing.copy()
                        tables[name][i, j] = value
        return by_step

    @cached_property
    def _last(self) -> dict[str, Matrix]:
        last: dict[str, Matrix] = {}
        for step, tables in self._at.items():
            here = self.step_cs == step
            for name, table in tables.items():
                last[name] = np.where(here, table, last.get(name, np.nan))
        return last


@dataclass(frozen=True)
class Evidence:
    """A study's stages as tables; `cells` by key, in reading order: baseline, controls, then settings."""

    study: Study
    cells: dict[str, Cell]
    stages: Mapping[Stage, StageTable]
    fresh_seeds: tuple[int, ...] = ()
    looks: tuple[int, ...] = ()

    @property
    def objective(self) -> str:
        """The metric the study minimises."""
        return self.study.minimised.name()

    @property
    def main(self) -> StageTable | None:
        """The stage the tables describe: the screen, or else the one there is."""
        return next((self.stages[stage] for stage in STAGES if stage in self.stages), None)


def evidence(record: StudyRecord) -> Evidence:
    """Lay a record out as tables; a trial recorded twice counts once, as last recorded."""
    recorded = {trial.spec.key: trial for trial in record.trials}
    # In a fixed order, whatever the record's: floating-point sums depend on it.
    latest = [recorded[key] for key in sorted(recorded)]
    keyed = [(trial.spec.cell.key, trial) for trial in latest]
    cells = _cells(keyed)
    stages = {stage: table for stage in STAGES if (table := _table(record, stage, cells, keyed))}
    return Evidence(record.study, cells, stages, record.fresh_seeds, record.looks)


def _table(
    record: StudyRecord, stage: Stage, cells: Mapping[str, Cell], keyed: list[tuple[str, TrialRecord]]
) -> StageTable | None:
    here = {(key, trial.spec.seed): trial for key, trial in keyed if trial.spec.stage == stage}
    if not here:
        return None
    present = {key for key, _ in here}
    keys, seeds = tuple(key for key in cells if key in present), tuple(sorted({seed for _, seed in here}))
    trials = tuple(tuple(here.get((key, seed)) for seed in seeds) for key in keys)
    return StageTable(stage, record.study.minimised, keys, seeds, trials)


def _cells(trials: Iterable[tuple[str, TrialRecord]]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for key, trial in trials:
        cell = trial.spec.cell
        if key not in cells or (cell.mark and not cells[key].mark):
            cells[key] = cell
    return dict(sorted(cells.items(), key=lambda item: _reading_order(item[1])))


def _reading_order(cell: Cell) -> tuple[object, ...]:
    role = ("baseline", "control", "grid").index(cell.role)
    return (role, reading_order(cell.dispersion), cell.label)


def _last_step(trial: TrialRecord | None) -> int:
    return max((rung.step for rung in trial.rungs), default=0) if trial else 0


def number(value: object) -> float | None:
    """A finite float, or None for anything that cannot be printed."""
    figure = float(value) if isinstance(value, int | float | np.number) else float("nan")
    return figure if np.isfinite(figure) else None


def means(values_CS: Matrix) -> list[float | None]:
    """The mean of every row over its measured values; None where there are none."""
    return [number(mean) for mean in moments(values_CS).mean]


def spreads(values_CS: Matrix) -> list[float | None]:
    """The standard deviation of every row over its measured values; None below two."""
    return [number(sd) for sd in moments(values_CS).sd]


def average(values: Matrix) -> float | None:
    """The mean of the measured values; None where there are none."""
    known = values[np.isfinite(values)]
    return number(known.mean()) if known.size else None


def spread(values: Matrix) -> float | None:
    """The standard deviation of the measured values; None below two."""
    known = values[np.isfinite(values)]
    return number(known.std(ddof=1)) if known.size > 1 else None
