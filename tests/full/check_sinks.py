"""A shipped record in TensorBoard's and W&B's own files, TensorBoard's read back by its reader."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sweeper.commands import export as module
from sweeper.commands.export import export
from sweeper.records import StudyRecord
from sweeper.workspace import Workspace
from tests.places import ROOT


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> StudyRecord:
    made = StudyRecord.model_validate_json((ROOT / "reports" / "null" / "record.json").read_bytes())
    monkeypatch.setattr(module, "read_study", lambda _uri, _name, _outbox: made)
    return made


def exported(kind: module.ExportFormat, folder: Path) -> str:
    said = io.StringIO()
    export(Workspace(folder / "ws"), "null", kind, folder / "out", ROOT / "reports", said)
    return said.getvalue().strip()


def test_tensorboard_reads_every_figure_and_the_guide(record: StudyRecord, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # again replaces the first, and draws no point twice
        assert exported("tensorboard", tmp_path) == f"tensorboard --logdir {tmp_path}/out/null"
    for trial in record.trials[:3]:
        name = f"{trial.spec.cell.label}, seed {trial.spec.seed}".replace(" ", "_")
        folders = [path for path in (tmp_path / "out" / "null" / trial.spec.stage).iterdir() if path.name == name]
        assert len(folders) == 1
        read = EventAccumulator(str(folders[0]))
        read.Reload()
        for rung in trial.rungs:
            for metric, value in rung.metrics.items():
                seen = [event.value for event in read.Scalars(metric) if event.step == rung.step]
                assert seen == [pytest.approx(value, rel=1e-6)]
    guide = EventAccumulator(str(tmp_path / "out" / "null" / "guide"))
    guide.Reload()
    assert b"confirmed" in guide.Tensors("guide/text_summary")[0].tensor_proto.string_val[0]
    assert "curves" in guide.Tags()["images"]


def test_wandb_writes_an_offline_run_a_trial_and_one_for_the_guide(record: StudyRecord, tmp_path: Path) -> None:
    """Its files are logs of protocol buffers, in which names are plain text."""
    assert exported("wandb", tmp_path).startswith("wandb sync ")
    logs = [file.read_bytes() for file in (tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb")]
    assert len(logs) == len(record.trials) + 1
    for trial in record.trials:
        name = f"{trial.spec.cell.label}, seed {trial.spec.seed}".encode()
        parts = (name, trial.spec.stage.encode(), *(metric.encode() for metric in trial.rungs[-1].metrics))
        assert any(all(part in log for part in parts) for log in logs), name
    pages = [*(tmp_path / "out" / "wandb").glob("offline-run-*/files/media/html/*.html")]
    assert len(pages) == 1
