"""The ledger against the real MLflow: what was told is what is read and what MLflow shows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from pydantic import ValidationError

from sweeper.errors import StudyError
from sweeper.ledger import events
from sweeper.ledger import mlflow_runs as reader
from sweeper.ledger import mlflow_writer as tracking
from sweeper.ledger.records_from_mlflow import TrialFiles, counts, read_study
from sweeper.ledger.tags import trial_params
from sweeper.ledger.writer import Ledger
from sweeper.records import Cell, Rung, TrialState
from tests.integration.ledger.ledger_life import (
    BASELINE,
    CONTROL,
    FACTS,
    GRID,
    LIFE,
    PNG,
    PROVENANCE,
    STUDY,
    Home,
    rung,
    snapshot,
    trial,
)
from trainer.recipe import Dispersion


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
        assert TrialFiles(home.uri, STUDY.name).read(told.spec.key, events.GRID) == PNG
    dropped = record.trials[3]
    assert (dropped.state, dropped.rungs, dropped.facts) == ("pruned", (), None)
    assert dropped.note == "dropped: its seed 0 was clearly behind"
    assert TrialFiles(home.uri, STUDY.name).read(dropped.spec.key, events.GRID) is None
    assert TrialFiles(home.uri, STUDY.name).read("screen.nothing.0", events.GRID) is None
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


def test_a_knob_that_does_nothing_has_no_value_in_mlflow_either() -> None:
    collapse = Cell(role="grid", label="c", dispersion=Dispersion(blocks=(1,), lam=0.1, variant="covariance"))
    knobs = {
        cell.label: trial_params(trial(cell)).keys() & {"block", "tau", "variant", "tau_units"}
        for cell in (BASELINE, CONTROL, GRID, collapse)
    }
    everything = {"block", "tau", "variant", "tau_units"}
    assert list(knobs.values()) == [set(), set(), everything, {"block", "variant"}]


def test_trials_are_children_of_the_study(home: Home) -> None:
    tracker = home.tracker()
    for event in LIFE:
        tracker.deliver(event)
    rows = list(reader.Reader(home.uri, STUDY.name).rows())
    parent = next(row.run_id for row in rows if row.key == "study")
    assert {row.tags.get("mlflow.parentRunId") for row in rows if row.key != "study"} == {parent}


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
    longer = STUDY.model_copy(update={"recipe": STUDY.recipe.override({"train.steps": 900}), "question": "Again?"})
    with home.ledger() as ledger:
        ledger.study_opened(longer, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
        assert snapshot(home)["study"][0][1] == "RUNNING"
        ledger.study_finished(PROVENANCE, failed=True)
    assert snapshot(home)["study"][0][1] == "FAILED"
    assert read_study(home.uri, STUDY.name).study == longer
    assert home.rejected() == []


def test_a_study_told_again_has_its_new_words_and_stays_closed(home: Home) -> None:
    told = STUDY.model_copy(update={"question": "Which block, really?", "tuning": "by hand"})
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.study_finished(PROVENANCE)
        ledger.study_told(told)
        assert ledger.flush(30)
    record = read_study(home.uri, STUDY.name)
    assert record.study == told
    assert record.provenance == PROVENANCE
    client = MlflowClient(home.uri)
    (run,) = client.search_runs([client.get_experiment_by_name(STUDY.name).experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.note.content"] == "Which block, really?\n\nby hand"


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
    states = [row.status for row in reader.Reader(home.uri, STUDY.name).rows() if row.key != "study"]
    assert sorted(states) == sorted(["FINISHED"] * 2 + ["KILLED"] * 3 + ["FAILED"] * 3 + ["RUNNING"])


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
    monkeypatch.setattr(reader, "PAGE", 2)
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
    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment is not None
    client.create_run(experiment.experiment_id)
    assert read_study(home.uri, STUDY.name).trials == ()
    assert counts(home.uri, STUDY.name) == {}


def test_nothing_is_delivered_before_it_is_asked_for_and_all_of_it_when_the_ledger_closes(home: Home) -> None:
    """A study that is starting delivers nothing until its first step: MLflow's import takes seconds."""
    ledger = Ledger(home.uri, home.artifacts, home.outbox, home.experiment, home.clock, at_once=False)
    ledger.study_opened(STUDY, PROVENANCE)
    ledger.trial_started(trial(GRID), attempt=1)
    time.sleep(0.3)
    with pytest.raises(StudyError):
        read_study(home.uri, STUDY.name)
    assert ledger.close(30)
    assert [told.spec for told in read_study(home.uri, STUDY.name).trials] == [trial(GRID)]


def test_a_new_studys_trial_is_looked_up_in_no_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this tracker created it knows: a start is two calls, a rung one, an end two."""
    tracker = tracking.Tracker(home.uri, home.artifacts, STUDY.name)
    tracker.deliver(events.StudyOpened(at_ms=1, study=STUDY, provenance=PROVENANCE))
    tracker.deliver(events.TrialStarted(at_ms=2, spec=trial(BASELINE), attempt=1))  # looks for the study's own run
    calls: list[str] = []
    for name in ("search_runs", "get_run", "create_run", "log_batch", "update_run", "set_terminated"):
        told = getattr(MlflowClient, name)

        def spy(*args: object, _name: str = name, _told: object = told, **kwargs: object) -> object:
            calls.append(_name)
            return _told(*args, **kwargs)  # type: ignore[operator]

        monkeypatch.setattr(MlflowClient, name, spy)
    tracker.deliver(events.TrialStarted(at_ms=3, spec=trial(GRID), attempt=1))
    tracker.deliver(events.RungReached(at_ms=4, spec=trial(GRID), rung=rung(400), facts=FACTS))
    tracker.deliver(events.TrialFinished(at_ms=5, spec=trial(GRID), state="complete", note=""))
    assert calls == ["create_run", "log_batch", "log_batch", "log_batch", "set_terminated"]


def test_a_guide_describes_the_experiment_and_its_figures_are_written_once(home: Home) -> None:
    name = "confirm/block 1 lambda 0.25/fid_10k"
    with home.ledger() as ledger:
        ledger.study_opened(STUDY, PROVENANCE)
        ledger.guide_written("Which one?\n\nScreening.", {})
        for value in (18.0, 18.0, 17.5):
            ledger.guide_written("Which one?\n\nNone.", {name: value, "confirm/baseline/fid_10k": 20.0})
        assert ledger.flush(30), ledger.trouble
        assert ledger.rejected == 0
    client = MlflowClient(tracking_uri=home.uri)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment is not None
    assert experiment.tags["mlflow.note.content"] == "Which one?\n\nNone."
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics == {name: 17.5, "confirm/baseline/fid_10k": 20.0}
    history = client.get_metric_history(run.info.run_id, name)
    assert [(one.value, one.step) for one in history] == [(18.0, 0), (17.5, 0)], "the same figure is not written again"
    assert len(client.get_metric_history(run.info.run_id, "confirm/baseline/fid_10k")) == 1
