"""Coordinator and worker in one process: a whole study without Ray, against the real search and ledger."""

from pathlib import Path

import optuna
import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.ledger import read_study
from sweeper.worker import cohort_run
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
        assert values[trial.spec.key] == ({4: first["fid_20"], 8: last["fid_40"]}, last["fid_40"])


def test_a_resumed_cohort_goes_on_from_its_checkpoint_with_the_same_figures(tmp_path):
    class CutError(Exception):
        pass

    class Cut:
        """A coordinator whose line breaks after the first rung was reported."""

        def __init__(self, coordinator: Coordinator) -> None:
            self.started, self._coordinator = coordinator.started, coordinator

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


def test_a_damaged_checkpoint_costs_time_but_no_figure(tmp_path, caplog):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    path = Path(assignment.checkpoint)
    path.write_bytes(b"\0" * 1000)
    cohort_run.run(coordinator, assignment)
    assert "training starts again from step 0" in caplog.text
    assert coordinator.progress().counts["complete"] == 2
