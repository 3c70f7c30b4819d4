"""Coordinator and worker in one process: a whole study without Ray, against the real search and ledger."""

import time
from functools import partial
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from sweeper.coordinator.coordinator import Coordinator
from sweeper.ledger import read_study
from sweeper.worker import cohort_run
from sweeper.worker.heart import Heart
from sweeper.worker.messages import Heartbeat
from tests.sweeper.coordinator.coordinators import begun, claimed, open_coordinator, ready, study

__all__ = ["ready"]  # a fixture, used by being here


def test_a_study_of_two_lane_cohorts_runs_to_its_end_with_real_training(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    while (cohort := coordinator.claim()) is not None:
        assignment = begun(coordinator, cohort)
        assert assignment.sources or len({trial.seed for trial in assignment.trials}) == 1
        cohort_run.run(coordinator, assignment)
    assert coordinator.done()
    assert coordinator.progress().counts == {"complete": 6}
    assert coordinator.close(interrupted=False, timeout=60)
    record = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny")
    assert {trial.spec.key for trial in record.trials} == {
        f"screen.{cell}.{seed}" for cell in {trial.spec.cell.key for trial in record.trials} for seed in (0, 1)
    }
    for trial in record.trials:
        assert [rung.step for rung in trial.rungs] == [4, 8]
        assert {"fid_40", "val_loss", "train_s"} <= trial.rungs[-1].metrics.keys()
    assert record.provenance.torch_fidelity_difference is not None
    assert list((tmp_path / "study" / "cohorts").iterdir()) == []


def test_a_rung_is_judged_by_the_fid_it_draws_and_the_last_by_the_objective(tmp_path):
    recipe = study().recipe.override({"eval.rung_samples": 20})
    of = study(recipe=recipe.model_dump(exclude_none=True), screen={"seeds": [0], "pruner": "none"})
    coordinator = open_coordinator(tmp_path, of)
    while (cohort := coordinator.claim()) is not None:
        cohort_run.run(coordinator, begun(coordinator, cohort))
    assert coordinator.progress().counts == {"complete": 3}
    assert coordinator.close(interrupted=False, timeout=60)
    store = optuna.load_study(study_name="tiny.screen", storage=f"sqlite:///{tmp_path}/optuna.db")
    values = {trial.user_attrs["key"]: (trial.intermediate_values, trial.value) for trial in store.trials}
    for trial in read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").trials:
        first, last = (rung.metrics for rung in trial.rungs)
        assert "fid_40" not in first
        assert values[trial.spec.key] == ({4: first["fid_20"]}, last["fid_40"])  # a line of one metric


def test_a_resumed_cohort_goes_on_from_its_checkpoint_with_the_same_figures(tmp_path):
    class CutError(Exception):
        pass

    class Cut:
        """A coordinator whose line breaks after the first rung was reported."""

        def __init__(self, coordinator: Coordinator) -> None:
            self.started, self.beat, self._coordinator = coordinator.started, coordinator.beat, coordinator

        def report(self, *news: object) -> frozenset[str]:
            self._coordinator.report(*news)  # type: ignore[arg-type]
            raise CutError

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    coordinator = open_coordinator(whole, study())
    cohort_run.run(coordinator, claimed(coordinator))
    coordinator.close(interrupted=True, timeout=60)

    broken = open_coordinator(cut, study())
    with pytest.raises(CutError):
        cohort_run.run(Cut(broken), claimed(broken))  # type: ignore[arg-type]
    broken.close(interrupted=True, timeout=60)
    again = open_coordinator(cut, study())
    assignment = claimed(again)
    assert Path(assignment.checkpoint).exists()
    cohort_run.run(again, assignment)
    again.close(interrupted=True, timeout=60)

    seconds = ("train_s", "eval_s", "cpu_s")
    figures = []
    for root in (whole, cut):
        trials = read_study(f"sqlite:///{root}/mlflow.db", "tiny").trials
        figures.append(
            {
                (trial.spec.key, rung.step): {k: v for k, v in rung.metrics.items() if k not in seconds}
                for trial in trials
                for rung in trial.rungs
            }
        )
    assert figures[0] == figures[1]
    assert len(figures[0]) == 4
    taken = {step: "train_flops" in known for (_, step), known in figures[0].items()}
    assert taken == {4: False, 8: True}  # of the whole training, so at its end


def test_a_worker_says_what_it_trains_and_mlflow_gets_the_curve_beside_the_record(tmp_path, monkeypatch):
    monkeypatch.setattr(cohort_run, "Heart", partial(Heart, interval_s=0.0))
    monkeypatch.setattr(cohort_run, "CHUNK", 2)
    coordinator = open_coordinator(tmp_path, study())
    coordinator._ledger.live.interval_s = 0.05
    assignment, seen = claimed(coordinator), []

    class Listening:
        """A coordinator that is asked for its progress at every heartbeat."""

        def __init__(self) -> None:
            self.started, self.report, self.parts, self.park = (
                *(coordinator.started, coordinator.report, coordinator.parts, coordinator.park),
            )

        def beat(self, heartbeat: Heartbeat) -> None:
            coordinator.beat(heartbeat)
            seen.append(coordinator.progress().activities)

    cohort_run.run(Listening(), assignment)
    assert [(one.doing, one.step, one.until, one.trials) for (one,) in seen] == [
        *(("training", 2, 4, 2), ("training", 4, 4, 2), ("measuring", 4, 4, 2)),
        *(("training", 6, 8, 2), ("training", 8, 8, 2), ("measuring", 8, 8, 2)),
    ]
    assert seen[0][0].label == "baseline, seed 0 and 1 more trial"
    assert seen[0][0].steps_per_s is None
    assert min(one.steps_per_s for (one,) in seen[1:]) > 0
    assert all((one.loss is None) == (one.doing == "measuring") for (one,) in seen)
    assert coordinator.progress().activities == ()  # that cohort is done
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    deadline = time.monotonic() + 60
    while len(curves := live_losses(uri)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert coordinator.close(interrupted=True, timeout=60)
    for trial in read_study(uri, "tiny").trials:
        assert not [name for rung in trial.rungs for name in rung.metrics if "live" in name]
        curve, measured = curves[trial.spec.key], {rung.step: rung.metrics["train_loss"] for rung in trial.rungs}
        assert curve.keys() & measured.keys()
        assert {step: loss for step, loss in curve.items() if step in measured} == pytest.approx(
            {step: loss for step, loss in measured.items() if step in curve}
        )


def live_losses(uri: str) -> dict[str, dict[int, float]]:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name("tiny")
    runs = client.search_runs([found.experiment_id], "tags.`sweeper.state` != 'x'") if found else []
    curves = {
        run.data.tags["sweeper.key"]: client.get_metric_history(run.info.run_id, "live/train_loss") for run in runs
    }
    return {key: {point.step: point.value for point in curve} for key, curve in curves.items() if curve}


def test_what_a_replaced_worker_says_is_not_shown(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    first = claimed(coordinator)
    beat = Heartbeat(cohort=first.cohort, attempt=1, doing="training", step=2, until=4, losses={})
    coordinator.beat(beat)
    assert [one.step for one in coordinator.progress().activities] == [2]
    begun(coordinator, first.cohort)  # by another worker
    assert coordinator.progress().activities == ()
    coordinator.beat(beat.model_copy(update={"step": 3}))  # the first one lives after all
    assert coordinator.progress().activities == ()
    coordinator.beat(beat.model_copy(update={"attempt": 2, "step": 1}))
    coordinator.beat(beat.model_copy(update={"step": 4}))
    assert [(one.step, one.steps_per_s) for one in coordinator.progress().activities] == [(1, None)]
    coordinator.beat(beat.model_copy(update={"cohort": "unknown"}))
    assert len(coordinator.progress().activities) == 1


def test_a_damaged_checkpoint_costs_time_but_no_figure(tmp_path, caplog):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    path = Path(assignment.checkpoint)
    path.write_bytes(b"\0" * 1000)
    cohort_run.run(coordinator, assignment)
    assert "training starts again from step 0" in caplog.text
    assert coordinator.progress().counts["complete"] == 2
