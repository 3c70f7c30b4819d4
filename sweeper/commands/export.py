"""`sweeper export`: a study's record as a table, one row per trial and rung, or as another tracker's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TextIO, assert_never

import pandas as pd

from sweeper.errors import DataError, StudyError
from sweeper.ledger import read_study
from sweeper.records import StudyRecord, TrialRecord
from sweeper.sinks.build import open_sink
from sweeper.sinks.protocol import Sink, copies
from sweeper.study.knobs import KNOBS, Taps, Word
from sweeper.text.untrusted import visible
from sweeper.workspace import Workspace

TableFormat = Literal["csv", "parquet"]
ExportFormat = Literal["csv", "parquet", "tensorboard", "wandb"]


def export(
    workspace: Workspace, study_name: str, format_: ExportFormat, output: Path | None, reports: Path, stdout: TextIO
) -> None:
    """Write a study's record to `output`; as CSV, without one, to `stdout`.

    Other trackers get a folder of runs, with the guide below `reports` if there is one, and `stdout` the command that
    shows them.
    """
    if output is None and format_ != "csv":
        raise StudyError(f"{format_} is no text", "give a file, or for a tracker a folder, with --output")
    record = read_study(workspace.tracking_uri, study_name, workspace.outbox(study_name))
    match format_:
        case "csv" | "parquet":
            write_table(record, format_, output, stdout)
        case "tensorboard" | "wandb":
            assert output is not None
            stdout.write(f"{_copied(record, open_sink(format_, output, study_name), reports / study_name)}\n")
        case _:
            assert_never(format_)


def _copied(record: StudyRecord, sink: Sink, guide: Path) -> str:
    for copy in copies(record):
        sink.trial(copy)
    if (guide / "guide.md").is_file():
        sink.guide(guide)
    return sink.close()


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
