"""A study's record as tables: one row a trial with the metrics of its last rung, and one row a rung."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweeper.records import Cell, Stage, StudyRecord, TrialRecord

BASELINE = "baseline"


@dataclass(frozen=True)
class Evidence:
    """Two tables, one row a trial (`trials`, its last rung) and a rung (`rungs`): stage, cell, seed, state, step, ...

    `cells` by key, in reading order: baseline, controls, then settings by variant, lambda, block and tau.
    """

    objective: str
    cells: dict[str, Cell]
    trials: pd.DataFrame
    rungs: pd.DataFrame

    def at(self, stage: Stage) -> pd.DataFrame:
        """The trials of one stage."""
        return self.trials[self.trials["stage"] == stage]

    def scores(self, stage: Stage) -> pd.DataFrame:
        """The objective of the stage's complete trials: one row a cell, one column a seed, NaN where there is none."""
        trials = self.at(stage)
        done = trials[(trials["state"] == "complete") & trials[self.objective].notna()]
        return done.pivot(index="cell", columns="seed", values=self.objective)


def evidence(record: StudyRecord) -> Evidence:
    """Lay a record out as tables; a trial recorded twice counts once, as last recorded."""
    recorded = {trial.spec.key: (trial.spec.cell.key, trial) for trial in record.trials}
    # In one order whatever the record's: floating-point sums depend on it.
    latest = dict(sorted(recorded.items()))
    objective = record.study.objective
    return Evidence(
        objective=objective,
        cells=_cells(latest.values()),
        trials=_frame((_trial_row(cell, trial) for cell, trial in latest.values()), objective),
        rungs=_frame((row for cell, trial in latest.values() for row in _rung_rows(cell, trial)), objective),
    )


def _cells(trials: Iterable[tuple[str, TrialRecord]]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for key, trial in trials:
        cell = trial.spec.cell
        if key not in found or (cell.mark and not found[key].mark):
            found[key] = cell
    return dict(sorted(found.items(), key=lambda item: _reading_order(item[1])))


def _reading_order(cell: Cell) -> tuple[object, ...]:
    knobs = cell.dispersion
    role = ("baseline", "control", "grid").index(cell.role)
    return (role, knobs.variant, knobs.lam, len(knobs.blocks), knobs.blocks, knobs.tau, cell.label)


def _head(cell: str, trial: TrialRecord) -> dict[str, object]:
    return {"stage": trial.spec.stage, "cell": cell, "seed": trial.spec.seed, "state": trial.state}


def _trial_row(cell: str, trial: TrialRecord) -> dict[str, object]:
    last = max(trial.rungs, key=lambda rung: rung.step, default=None)
    metrics = last.metrics if last else {}
    return {**metrics, **_head(cell, trial), "step": last.step if last else 0}


def _rung_rows(cell: str, trial: TrialRecord) -> list[dict[str, object]]:
    return [{**rung.metrics, **_head(cell, trial), "step": rung.step} for rung in trial.rungs]


def _frame(rows: Iterable[dict[str, object]], objective: str) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows))
    for column in ("stage", "cell", "state"):
        if column not in frame:
            frame[column] = pd.Series(dtype=object)
    for column in ("seed", "step", objective):
        if column not in frame:
            frame[column] = np.nan
    return frame


def number(value: object) -> float | None:
    """A finite float, or None for anything that cannot be printed."""
    found = float(value) if isinstance(value, int | float | np.number) else float("nan")
    return found if np.isfinite(found) else None


def average(frame: pd.DataFrame, column: str) -> float | None:
    """The mean of a column over the rows that have it."""
    return number(frame[column].mean()) if column in frame else None
