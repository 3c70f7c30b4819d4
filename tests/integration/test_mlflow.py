"""The ledger against the real MLflow: what was told is what is read, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sweeper import events, tracking
from sweeper.errors import DataError, SetupError, StudyError
from sweeper.events import AnyEvent
from sweeper.ledger import Ledger
from sweeper.mlflow_process import ENVIRONMENT, prepare_environment, ui_command
from sweeper.readback import counts, read_grid, read_study
from sweeper.records import Cell, Facts, Provenance, Rung, TrialSpec, TrialState
from sweeper.study import Study
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


class Home:
    """A workspace with a database whose tables exist already (creating them takes seconds)."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.artifacts = folder / "artifacts"
        self.outbox = folder / "outbox.jsonl"
        self.now = 1_700_000_000.0

    def ledger(self, uri: str | None = None) -> Ledger:
        return Ledger(uri or self.uri, self.artifacts, self.outbox, STUDY.name, self.clock)

    def clock(self) -> float:
        self.now += 1
        return self.now

    def tracker(self) -> tracking.Tracker:
        return tracking.Tracker(self.uri, self.artifacts, STUDY.name)

    def rejected(self) -> list[dict[str, str]]:
        file = self.outbox.with_name(self.outbox.name + ".rejected")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database created as a first run creates it."""
    prepare_environment()
    file = tmp_path_factory.mktemp("tables") / "mlflow.db"
    tracking.Tracker(f"sqlite:///{file}", None, "another_study")
    return file


NewHome = Callable[[], Home]


@pytest.fixture
def new_home(tables: Path, tmp_path: Path) -> NewHome:
    made: list[Path] = []

    def make() -> Home:
        folder = tmp_path / f"home{len(made)}"
        folder.mkdir()
        made.append(folder)
        source, copy = sqlite3.connect(tables), sqlite3.connect(folder / "mlflow.db")
        source.backup(copy)
        source.close()
        copy.close()
        return Home(folder)

    return make


@pytest.fixture
def home(new_home: NewHome) -> Home:
    return new_home()


def snapshot(home: Home) -> dict[str, Any]:
    """Everything MLflow knows of the study's runs, without the ids it draws at random."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
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
]


class Dying:
    """MLflow's client in a process that dies before its n-th call."""

    def __init__(self, client: object, calls: int) -> None:
        self._client, self.left = client, calls

    def __getattr__(self, name: str) -> Any:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return getattr(self._client, name)


def test_a_whole_study_reads_back_as_it_was_told(home: Home, tmp_path: Path) -> None:
    guide = tmp_path / "report"
    guide.mkdir()
    (guide / "guide.md").write_text("# A guide")
    ended = PROVENANCE.model_copy(update={"wall_s": 12.5, "torch_fidelity_difference": 1e-9})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for cell in (BASELINE, GRID, CONTROL):
            ledger.trial_started(trial(cell), attempt=1)
            ledger.rung(trial(cell), rung(400), FACTS)
            ledger.rung(trial(cell), rung(800, 15.0), FACTS)
            ledger.grid(trial(cell), PNG, step=800)
            ledger.trial_finished(trial(cell), "complete")
        ledger.trial_finished(trial(GRID, seed=1), "pruned", "dropped: its seed 0 was clearly behind")
        ledger.artifact(guide)
        ledger.study_finished(ended)
        assert ledger.flush(30), ledger.trouble
    record = read_study(home.uri, STUDY.name)
    assert record.study == STUDY
    assert record.provenance == ended
    assert [t.spec for t in record.trials] == [trial(BASELINE), trial(GRID), trial(CONTROL), trial(GRID, 1)]
    for told in record.trials[:3]:
        assert (told.state, told.rungs, told.facts) == ("complete", (rung(400), rung(800, 15.0)), FACTS)
        assert read_grid(home.uri, STUDY.name, told.spec.key) == PNG
    dropped = record.trials[3]
    assert (dropped.state, dropped.rungs, dropped.facts) == ("pruned", (), None)
    assert dropped.note == "dropped: its seed 0 was clearly behind"
    assert read_grid(home.uri, STUDY.name, dropped.spec.key) is None
    assert read_grid(home.uri, STUDY.name, "screen.nothing.0") is None
    files = list(home.artifacts.rglob("guide/guide.md"))
    assert [file.read_text() for file in files] == ["# A guide"]
    assert not list(home.outbox.parent.glob("grids/*")), "grids are gone once they are delivered"
    assert (ledger.rejected, ledger.trouble) == (0, None)


def test_mlflow_shows_parameters_metrics_and_origin(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    runs = snapshot(home)
    info, params, tags, _, files = runs["study"]
    assert info == ("block_temp", "FINISHED", 1000, 6000)
    assert (params["train.lr"], params["model.depth"], params["objective"]) == ("0.008", "4", "fid_10k")
    assert (tags["mlflow.source.git.commit"], tags["git.dirty"], tags["version.torch"]) == ("0123abc", "true", "2.13.0")
    assert tags["mlflow.note.content"].startswith("Which block and which temperature?")
    assert files == ["study.json"]
    info, params, tags, history, _ = runs[trial(GRID).key]
    assert info == ("block 1, lambda 0.25, seed 0", "KILLED", 3500, 4100)
    shown = {"block": "1,3", "lambda": "0.25", "tau": "1.0", "variant": "l2", "tau_units": "absolute"}
    assert params == {**shown, "seed": "0", "stage": "screen", "role": "grid", "label": "block 1, lambda 0.25"}
    assert history["fid_10k"] == [(90.0, 400, 4000)]
    assert (tags["sweeper.state"], tags["mark"], tags["device"]) == ("pruned", "paper's default", "cpu")
    assert runs[trial(BASELINE).key][2]["sweeper.attempt"] == "2"


def test_a_control_shows_the_recipe_fields_it_changes(home: Home) -> None:
    tracker = home.tracker()
    tracker.deliver(LIFE[0])
    tracker.deliver(events.TrialStarted(at_ms=1, spec=trial(CONTROL), attempt=1))
    params = snapshot(home)[trial(CONTROL).key][1]
    assert (params["train.weight_decay"], params["data.limit"], params["lambda"]) == ("0.5", "100", "0.0")


def test_trials_are_children_of_the_study(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    rows = list(tracking.Reader(home.uri, STUDY.name).rows())
    parent = next(row.run_id for row in rows if row.key == "study")
    assert {row.tags.get("mlflow.parentRunId") for row in rows if row.key != "study"} == {parent}


def test_replaying_any_suffix_changes_nothing(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    once = snapshot(home)
    for start in range(len(LIFE)):
        tracker = home.tracker()
        for event in LIFE[start:]:
            tracker.deliver(event)
        assert snapshot(home) == once, f"replayed from event {start}"


def test_dying_before_any_call_to_mlflow_and_replaying_gives_the_same_record(new_home: NewHome) -> None:
    undisturbed = new_home()
    tracker = undisturbed.tracker()
    counter = Dying(tracker._client, 10_000)
    tracker._client = counter  # type: ignore[assignment]
    for event in LIFE:
        tracker.deliver(event)
    expected, calls = snapshot(undisturbed), 10_000 - counter.left
    assert calls > 2 * len(LIFE)
    for survived in range(0, calls, 2):
        home = new_home()
        tracker = home.tracker()
        tracker._client = Dying(tracker._client, survived)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            for event in LIFE:
                tracker.deliver(event)
        successor = home.tracker()
        for event in LIFE:
            successor.deliver(event)
        assert snapshot(home) == expected, f"died before call {survived}"


def test_a_ledger_that_died_at_any_event_leaves_the_rest_to_the_next(new_home: NewHome) -> None:
    lines = [events.to_line(event) + "\n" for event in LIFE]
    expected: dict[str, Any] | None = None
    for delivered in (len(lines), *range(len(lines))):
        home = new_home()
        tracker = home.tracker()
        for event in LIFE[:delivered]:
            tracker.deliver(event)
        home.outbox.write_text("".join(lines) + '{"kind": "trial_sta')  # torn by the crash
        # One event less is marked than was delivered: the crash came between the two.
        mark = sum(len(line.encode()) for line in lines[: max(0, delivered - 1)])
        home.outbox.with_name(home.outbox.name + ".mark").write_text(str(mark))
        with home.ledger() as ledger:
            assert ledger.flush(30), ledger.trouble
        assert home.rejected() == []
        expected = expected or snapshot(home)
        assert snapshot(home) == expected, f"died after event {delivered}"


def test_reopening_continues_the_same_run_and_ending_closes_it(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(BASELINE), attempt=1)
        ledger.interrupted(PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    runs = snapshot(home)
    assert (runs["study"][0][1], runs["study"][2]["sweeper.state"]) == ("KILLED", "interrupted")
    assert runs[trial(BASELINE).key][0][1] == "RUNNING"
    assert counts(home.uri, STUDY.name) == {"running": 1}
    with home.ledger() as ledger:
        ledger.study_opened(STUDY.model_copy(update={"question": "Again?"}), PROVENANCE)
        assert ledger.flush(30), ledger.trouble
        assert snapshot(home)["study"][0][1] == "RUNNING"
        ledger.study_finished(PROVENANCE, failed=True)
    assert snapshot(home)["study"][0][1] == "FAILED"
    assert read_study(home.uri, STUDY.name).study.question == "Again?"


def test_counts_are_mlflows_own(home: Home) -> None:
    ends: list[TrialState] = ["complete", "complete", "pruned", "diverged", "failed", "failed", "failed"]
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for seed, state in enumerate(ends):
            ledger.trial_started(trial(GRID, seed), attempt=1)
            ledger.trial_finished(trial(GRID, seed), state)
        ledger.trial_started(trial(BASELINE), attempt=1)
        ledger.trial_finished(trial(BASELINE, 1), "pruned", "never started")
        assert ledger.flush(30), ledger.trouble
    assert counts(home.uri, STUDY.name) == {"complete": 2, "pruned": 2, "diverged": 1, "failed": 3, "running": 1}
    states = [row.status for row in tracking.Reader(home.uri, STUDY.name).rows() if row.key != "study"]
    assert sorted(states) == sorted(["FINISHED"] * 2 + ["KILLED"] * 3 + ["FAILED"] * 3 + ["RUNNING"])


def test_a_state_is_final_until_the_trial_is_started_again(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_finished(trial(GRID), "failed", "worker died")
        ledger.trial_started(trial(GRID), attempt=2)
        assert ledger.flush(30), ledger.trouble
    assert counts(home.uri, STUDY.name) == {"running": 1}


def test_the_first_report_of_a_step_counts(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), rung(400, 20.0), FACTS)
        ledger.rung(trial(GRID), rung(400, 99.0), FACTS)
        assert ledger.flush(30), ledger.trouble
    assert read_study(home.uri, STUDY.name).trials[0].rungs == (rung(400, 20.0),)
    assert [value for value, _, _ in snapshot(home)[trial(GRID).key][3]["fid_10k"]] == [20.0]


def test_rungs_come_back_in_the_order_of_their_steps(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for step in (1000, 800, 90):
            ledger.rung(trial(GRID), rung(step), FACTS)
        assert ledger.flush(30), ledger.trouble
    assert [r.step for r in read_study(home.uri, STUDY.name).trials[0].rungs] == [90, 800, 1000]


def test_extreme_and_many_figures_survive_exactly(home: Home) -> None:
    """XL has 28 blocks; 256 blocks need several tags."""
    extremes = {"huge": 1.7976931348623157e308, "tiny": 5e-324, "minus_zero": -0.0, "third": 1 / 3, "big": 2.0**53 + 2}
    wide = {f"{kind}.block_{i}": i / 7 for kind in ("feature_norm", "effective_rank") for i in range(256)}
    told = Rung(step=1, metrics={**extremes, **wide})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), told, FACTS)
        assert ledger.flush(30), ledger.trouble
    (read,) = read_study(home.uri, STUDY.name).trials[0].rungs
    assert read == told
    assert str(read.metrics["minus_zero"]) == "-0.0"
    history = snapshot(home)[trial(GRID).key][3]
    assert {name: history[name][0][0] for name in extremes} == extremes
    assert len(history) == len(told.metrics)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_never_reaches_the_ledger(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Rung(step=1, metrics={"fid_10k": value})


def test_a_shorter_provenance_replaces_a_longer_one(home: Home) -> None:
    long = PROVENANCE.model_copy(update={"versions": {f"package{i}": "1.2.3" * 20 for i in range(60)}})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, long)
        assert ledger.flush(30), ledger.trouble
        assert read_study(home.uri, STUDY.name).provenance == long
        ledger.study_finished(PROVENANCE)
    assert read_study(home.uri, STUDY.name).provenance == PROVENANCE


def test_a_study_is_read_page_by_page(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "PAGE", 2)
    specs = [trial(GRID, seed) for seed in range(6)]
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        for spec in specs:
            ledger.trial_started(spec, attempt=1)
        assert ledger.flush(30), ledger.trouble
    assert [t.spec for t in read_study(home.uri, STUDY.name).trials] == specs


def test_other_peoples_runs_in_the_experiment_are_left_alone(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment is not None
    client.create_run(experiment.experiment_id)
    assert read_study(home.uri, STUDY.name).trials == ()
    assert counts(home.uri, STUDY.name) == {}


def test_an_event_mlflow_refuses_is_set_aside_and_the_rest_goes_on(home: Home) -> None:
    poison = Rung(step=400, metrics={"no*such|name": 1.0})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(BASELINE), poison, FACTS)
        ledger._outbox.append("this is no event")
        ledger.artifact(home.outbox.parent / "missing.md")
        ledger.rung(trial(BASELINE), rung(800), FACTS)
        assert ledger.flush(60), ledger.trouble
        assert (ledger.rejected, ledger.trouble) == (3, None)
    first, second, third = home.rejected()
    assert "no*such|name" in first["reason"]
    assert events.from_line(first["line"].encode()) == events.RungReached(
        at_ms=1_700_000_002_000, spec=trial(BASELINE), rung=poison, facts=FACTS
    )
    assert second["line"] == "this is no event"
    assert "missing.md" in third["reason"]
    assert [r.step for r in read_study(home.uri, STUDY.name).trials[0].rungs] == [800]


def test_a_run_deleted_by_hand_is_made_anew(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(GRID), attempt=1)
        assert ledger.flush(30), ledger.trouble
        row = tracking.Reader(home.uri, STUDY.name).find(trial(GRID).key)
        assert row is not None
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=home.uri).delete_run(row.run_id)
        ledger.rung(trial(GRID), rung(800), FACTS)
        assert ledger.flush(30), ledger.trouble
        assert ledger.rejected == 0
    assert read_study(home.uri, STUDY.name).trials[0].rungs == (rung(800),)


def test_a_deleted_experiment_is_restored(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    assert read_study(home.uri, STUDY.name).study == STUDY


def test_a_store_without_the_study_gets_everything_again(home: Home, new_home: NewHome) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.rung(trial(GRID), rung(400), FACTS)
        assert ledger.flush(30), ledger.trouble
    moved = new_home()
    with home.ledger(moved.uri) as ledger:
        ledger.trial_finished(trial(GRID), "complete")
        assert ledger.flush(30), ledger.trouble
    (read,) = read_study(moved.uri, STUDY.name).trials
    assert (read.state, read.rungs) == ("complete", (rung(400),))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def failing_server() -> Iterator[str]:
    """A server that answers everything with an internal error."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["closed", "silent", "failing"])
def broken_uri(request: pytest.FixtureRequest) -> str:
    if request.param == "closed":
        return f"http://127.0.0.1:{closed_port()}"
    return str(request.getfixturevalue(f"{request.param}_server"))


def test_a_broken_server_neither_blocks_nor_loses_anything(home: Home, broken_uri: str) -> None:
    ledger = home.ledger(broken_uri)
    slowest = 0.0
    for event in (lambda: ledger.study_opened(STUDY, PROVENANCE), *[_report(ledger, seed) for seed in range(50)]):
        began = time.monotonic()
        event()
        slowest = max(slowest, time.monotonic() - began)
    assert not ledger.flush(1.0)
    began = time.monotonic()
    assert not ledger.close(timeout=0.5)
    assert time.monotonic() - began < 10
    assert slowest < 1.0
    assert home.rejected() == []
    with home.ledger() as later:
        assert later.flush(60), later.trouble
    assert len(read_study(home.uri, STUDY.name).trials) == 50


def _report(ledger: Ledger, seed: int) -> Callable[[], None]:
    return lambda: ledger.trial_started(trial(GRID, seed), attempt=1)


def test_trouble_tells_why_nothing_is_delivered(home: Home) -> None:
    with home.ledger(f"http://127.0.0.1:{closed_port()}") as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        deadline = time.monotonic() + 30
        while ledger.trouble is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "refused" in (ledger.trouble or "")
        ledger.close(timeout=0)


def test_an_unknown_study_is_the_users_mistake(home: Home) -> None:
    with pytest.raises(StudyError, match="no_such_study") as caught:
        read_study(home.uri, "no_such_study")
    assert "sweeper run" in caught.value.remedy


def test_reading_where_nothing_was_recorded_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        counts(f"sqlite:///{tmp_path}/mlflow.db", STUDY.name)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_without_a_study_is_not_recorded_yet(home: Home) -> None:
    home.tracker()
    with pytest.raises(StudyError, match="not recorded yet"):
        read_study(home.uri, STUDY.name)


def test_reading_from_a_server_that_is_down_says_so_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(SetupError, match="does not answer"):
        read_study(f"http://127.0.0.1:{closed_port()}", STUDY.name)
    assert time.monotonic() - began < 20


def test_a_record_changed_by_hand_is_refused(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    run_id = tracker._trial(trial(GRID), 0).run_id
    tracker._client.set_tag(run_id, "sweeper.rung.400", '{"step": "many"}')
    with pytest.raises(DataError, match="cannot be read"):
        read_study(home.uri, STUDY.name)


def test_importing_and_opening_the_ledger_does_not_import_mlflow(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, sweeper.readback\n"
        "from sweeper.ledger import Ledger\n"
        f"Ledger('sqlite:///{tmp_path}/mlflow.db', None, pathlib.Path('{tmp_path}/outbox'), 'x').close(timeout=0)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('mlflow', 'sqlalchemy')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_first_run_prints_nothing(tmp_path: Path) -> None:
    """Tables are created, an event is set aside, and neither MLflow nor alembic says a word."""
    program = (
        "import pathlib, sys, logging\n"
        "from sweeper import events\n"
        "from sweeper.ledger import Ledger\n"
        "logging.getLogger('sweeper').addHandler(logging.NullHandler())\n"
        "opened = events.from_line(sys.stdin.buffer.read())\n"
        f"ledger = Ledger('sqlite:///{tmp_path}/mlflow.db', None, pathlib.Path('{tmp_path}/outbox'), 'block_temp')\n"
        "ledger.study_opened(opened.study, opened.provenance)\n"
        "ledger._outbox.append('poison')\n"
        "assert ledger.close(timeout=120), ledger.trouble\n"
        "assert ledger.rejected == 1\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], input=events.to_line(LIFE[0]).encode(), check=True, capture_output=True,
        cwd=tmp_path, env={name: value for name, value in os.environ.items() if name not in ENVIRONMENT},
    )  # fmt: skip
    assert (said.stdout, said.stderr) == (b"", b"")


def test_the_ui_serves_the_study_on_this_machine(home: Home) -> None:
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.trial_started(trial(GRID), attempt=1)
        ledger.grid(trial(GRID), PNG, step=800)
        assert ledger.flush(30), ledger.trouble
    row = tracking.Reader(home.uri, STUDY.name).find(trial(GRID).key)
    assert row is not None
    port = closed_port()
    argv, env = ui_command(home.uri, home.artifacts, port)
    server = subprocess.Popen(
        argv, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert _get(port, "/health", patience_s=120) == b"OK"
        found = json.loads(_get(port, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={STUDY.name}"))
        assert found["experiment"]["name"] == STUDY.name
        assert _get(port, f"/get-artifact?path=samples.png&run_uuid={row.run_id}") == PNG
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _get(port: int, path: str, patience_s: float = 30) -> bytes:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return bytes(answer.read())
        except ConnectionError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
