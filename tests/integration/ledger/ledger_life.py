"""A study's life as events, and a workspace with a real MLflow database to tell it to."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeper.ledger import events
from sweeper.ledger import mlflow_writer as tracking
from sweeper.ledger.events import AnyEvent
from sweeper.ledger.writer import Ledger
from sweeper.records import Cell, Facts, Provenance, Rung, TrialSpec
from sweeper.study import Study
from tests.conftest import copy_database
from trainer.recipe import Dispersion

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
FACTS = Facts(data_hash="d" * 16, extractor="domain", extractor_sha256="e" * 64, device="cpu")
PROVENANCE = Provenance(
    command="sweeper run studies/x.yaml",
    commit="0123abc",
    dirty=True,
    versions={"torch": "2.13.0", "mlflow": "3.17.2"},
    cores=2,
    started="2026-01-02T03:04:05+00:00",
    wall_s=0.0,
)
STUDY = Study.model_validate(
    {
        "name": "block_temp",
        "question": "Which block and which temperature?",
        "tuning": "by hand; λ = 0 first",
        "space": {"block": [0, 0.25, 1.0, "all", [0, 1.0]], "lambda": [0.01, 0.25], "tau": [0.5]},
        "cells": [{"label": "paper's default", "block": 0.25, "lambda": 0.5, "tau": 0.5}],
        "controls": [{"name": "decay", "set": {"train.weight_decay": 0.5}}],
        "confirm": {"top": 2},
    }
)
BASELINE = Cell(role="baseline", label="baseline", dispersion=Dispersion())
GRID = Cell(
    role="grid", label="block 1, lambda 0.25", mark="paper's default", dispersion=Dispersion(blocks=(1, 3), lam=0.25)
)
CONTROL = Cell(
    role="control", label="decay", dispersion=Dispersion(), overrides=(("train.weight_decay", 0.5), ("data.limit", 100))
)


def trial(cell: Cell, seed: int = 0) -> TrialSpec:
    return TrialSpec(stage="screen", cell=cell, seed=seed)


def rung(step: int, fid: float = 20.0) -> Rung:
    return Rung(step=step, metrics={"fid_10k": fid, "train_loss": 0.1 + 0.2, "effective_rank.block_0": 12.5})


LIFE: list[AnyEvent] = [
    events.StudyOpened(at_ms=1000, study=STUDY, provenance=PROVENANCE),
    events.TrialStarted(at_ms=2000, spec=trial(BASELINE), attempt=1),
    events.RungReached(at_ms=3000, spec=trial(BASELINE), rung=rung(400, 30.0), facts=FACTS),
    events.TrialStarted(at_ms=3500, spec=trial(GRID), attempt=1),
    events.RungReached(at_ms=4000, spec=trial(GRID), rung=rung(400, 90.0), facts=FACTS),
    events.TrialFinished(at_ms=4100, spec=trial(GRID), state="pruned", note="clearly behind"),
    events.TrialFinished(at_ms=4200, spec=trial(GRID, 1), state="pruned", note="dropped before it started"),
    events.TrialStarted(at_ms=4300, spec=trial(BASELINE), attempt=2),
    events.RungReached(at_ms=5000, spec=trial(BASELINE), rung=rung(800), facts=FACTS),
    events.TrialFinished(at_ms=5100, spec=trial(BASELINE), state="complete", note=""),
    events.StudyEnded(at_ms=6000, end="finished", provenance=PROVENANCE.model_copy(update={"wall_s": 9.5})),
    events.StudyTold(at_ms=7000, study=STUDY),
    events.GuideWritten(at_ms=8000, description="Which one?\n\nNone.", metrics={"confirm/baseline/fid_10k": 20.0}),
]


class Home:
    """A workspace with a database whose tables exist already (creating them takes seconds)."""

    def __init__(self, folder: Path, uri: str = "", experiment: str = STUDY.name) -> None:
        self.uri = uri or f"sqlite:///{folder}/mlflow.db"
        self.artifacts = folder / "artifacts"
        self.outbox = folder / "outbox.jsonl"
        self.experiment = experiment
        self.now = 1_700_000_000.0

    @classmethod
    def over(cls, tables: Path, folder: Path) -> Home:
        """A workspace in an empty folder, with a copy of a database."""
        copy_database(tables, folder / "mlflow.db")
        return cls(folder)

    def room(self, name: str) -> Home:
        """Another experiment in the same database: opening a database of its own takes half a second."""
        return Home(self.outbox.parent / name, self.uri, name)

    def ledger(self, uri: str | None = None) -> Ledger:
        return Ledger(uri or self.uri, self.artifacts, self.outbox, self.experiment, self.clock)

    def clock(self) -> float:
        self.now += 1
        return self.now

    def tracker(self) -> tracking.Tracker:
        return tracking.Tracker(self.uri, self.artifacts, self.experiment)

    def rejected(self) -> list[dict[str, str]]:
        file = self.outbox.with_name(self.outbox.name + ".rejected")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


NewHome = Callable[[], Home]


def snapshot(home: Home) -> dict[str, Any]:
    """Everything MLflow knows of the study's runs, without the ids it draws at random."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(home.experiment)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_key: dict[str, Any] = {}
    for run in runs:
        history = {
            name: [(m.value, m.step, m.timestamp) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"}
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        by_key[tags["sweeper.key"]] = (info, dict(run.data.params), tags, history, files)
    assert len(by_key) == len(runs), "two runs for one key"
    return by_key


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
