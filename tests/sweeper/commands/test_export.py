import io
from pathlib import Path

import pandas as pd
import pytest

from sweeper.commands import export as module
from sweeper.commands.export import export, to_table, write_table
from sweeper.errors import StudyError
from sweeper.workspace import Workspace
from tests.sweeper.guide.study_records import typical


@pytest.fixture(autouse=True)
def record(monkeypatch):
    made = typical()
    monkeypatch.setattr(module, "read_study", lambda _uri, _name, _outbox: made)
    return made


@pytest.fixture
def place(tmp_path):
    return Workspace(tmp_path / "ws")


def test_a_row_for_every_trial_and_rung_with_parameters_and_metrics(record):
    table = to_table(record)
    assert len(table) == sum(max(1, len(trial.rungs)) for trial in record.trials)
    first = record.trials[0]
    rows = table[table.trial == first.spec.key]
    assert list(rows.step) == [rung.step for rung in first.rungs]
    for name, value in first.rungs[-1].metrics.items():
        assert rows.iloc[-1][name] == value
    assert {"stage", "state", "cell", "seed", "block", "lambda", "tau", "data_hash"} <= set(table.columns)


def test_csv_and_parquet_hold_the_same_table(place, tmp_path):
    text = io.StringIO()
    export(place, "name", "csv", None, Path("reports"), text)
    export(place, "name", "parquet", tmp_path / "t.parquet", Path("reports"), text)
    csv = pd.read_csv(io.StringIO(text.getvalue()))
    parquet = pd.read_parquet(tmp_path / "t.parquet")
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet)


def test_parquet_needs_a_file(place):
    with pytest.raises(StudyError, match="parquet is no text"):
        export(place, "name", "parquet", None, Path("reports"), io.StringIO())


def test_a_knob_of_numbers_and_words_goes_into_parquet_too(record, tmp_path):
    cells = {"all": record.trials[-1].spec.cell, "16": record.trials[-2].spec.cell}
    cells = {
        shown: cell.model_copy(update={"dispersion": cell.dispersion.model_copy(update={"local_batch": samples})})
        for (shown, cell), samples in zip(cells.items(), ("all", 16), strict=True)
    }
    trials = [
        trial.model_copy(update={"spec": trial.spec.model_copy(update={"cell": cell})})
        for trial, cell in zip(record.trials[-2:], cells.values(), strict=True)
    ]
    write_table(record.model_copy(update={"trials": tuple(trials)}), "parquet", tmp_path / "t.parquet", io.StringIO())
    assert set(pd.read_parquet(tmp_path / "t.parquet").local_batch) == {"all", "16"}
