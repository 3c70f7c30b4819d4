"""`sweeper export`: a study's record as a table, one row per trial and rung."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TextIO, assert_never

import pandas as pd

from sweeper.errors import DataError, StudyError
from sweeper.ledger import read_study
from sweeper.records import StudyRecord, TrialRecord
from sweeper.study.knobs import KNOBS, Taps, Word
from sweeper.text.untrusted import visible
from sweeper.workspace import Workspace

TableFormat = Literal["csv", "parquet"]


def export(workspace: Workspace, study_name: str, format_: TableFormat, output: Path | None, stdout: TextIO) -> None:
    """Write the table to `output`, or as CSV to `stdout`. Parquet needs a file."""
    if format_ == "parquet" and output is None:
        raise StudyError("parquet is no text", "give a file with --output")
    write_table(read_study(workspace.tracking_uri, study_name, workspace.outbox(study_name)), format_, output, stdout)


def write_table(record: StudyRecord, format_: TableFormat, output: Path | None, stdout: TextIO) -> None:
    """Write a record as a table; texts are escaped in CSV, which spreadsheets open, and unchanged in parquet."""
    table = to_table(record)
    try:
        match format_:
            case "parquet":
                table.to_parquet(output, index=False)
            case "csv":
                table.apply(_column).to_csv(output or stdout, index=False)
            case _:
                assert_never(format_)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(
            f"{output} cannot be written: {error.strerror or error}", "give a file in an existing folder"
        ) from error


def to_table(record: StudyRecord) -> pd.DataFrame:
    """Return one row a trial and rung; a trial without a rung has one row without metrics."""
    taps = record.study.recipe.model.taps
    return pd.DataFrame([row for trial in record.trials for row in _rows(trial, taps)])


def _column(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.map(_cell, na_action="ignore") if column.dtype.kind == "O" else column


def _cell(value: object) -> object:
    """Escape a text for spreadsheets, which execute cells that begin like a formula (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    formula = value.startswith(("\t", "\r")) or value.lstrip().startswith(("=", "+", "-", "@"))
    return ("'" if formula else "") + visible(value)


def _one_kind(shown: Word | None) -> Word | None:
    # A parquet column holds values of one type, and a knob's may be 16 or 'all'.
    return shown if shown is None or isinstance(shown, float) else str(shown)


def _rows(trial: TrialRecord, taps: Taps) -> list[dict[str, object]]:
    cell, setting = trial.spec.cell, trial.spec.cell.dispersion
    about: dict[str, object] = {
        "trial": trial.spec.key,
        "stage": trial.spec.stage,
        "state": trial.state,
        "role": cell.role,
        "cell": cell.label,
        "mark": cell.mark,
        "seed": trial.spec.seed,
        **{knob.name: _one_kind(knob.shown(setting, taps)) for knob in KNOBS},
        "overrides": ", ".join(f"{name}={value}" for name, value in cell.overrides) or None,
        "note": trial.note or None,
    }
    # Booleans as 1 and 0: with trials that lack facts, the column would otherwise hold two types.
    known = trial.facts.model_dump() if trial.facts else {}
    facts = {name: int(value) if isinstance(value, bool) else value for name, value in known.items()}
    return [about | facts | {"step": rung.step, **rung.metrics} for rung in trial.rungs] or [about | facts]
