"""A second chance for trials that failed: in the search, in the record, and in what people are told."""

from __future__ import annotations

from pathlib import Path

import optuna

from sweeper.commands.run import Result
from sweeper.commands.status import Counts
from sweeper.coordinator.coordinator import Coordinator
from sweeper.ledger import counts, read_study
from sweeper.provenance import gather
from sweeper.search import failures, state_counts
from tests.sweeper.coordinator.coordinators import (
    FACTS,
    begun,
    claimed,
    open_coordinator,
    paths,
    ready,
    reported,
    study,
)

__all__ = ["ready"]  # a fixture, used by being here


def run(coordinator: Coordinator) -> None:
    while (cohort := coordinator.claim()) is not None:
        assignment = begun(coordinator, cohort)
        for step in assignment.rungs:
            coordinator.report(cohort, 1, reported(assignment, 5.0, step), FACTS, last=step == assignment.rungs[-1])
    assert coordinator.close(interrupted=False, timeout=60)


def fail_one_cohort(tmp_path: Path) -> list[str]:
    """Run a study whose first cohort fails after a rung; return the keys of its trials."""
    coordinator = open_coordinator(tmp_path, study())
    lost = claimed(coordinator)
    coordinator.report(lost.cohort, 1, reported(lost, 9.0), FACTS, last=False)
    coordinator.failed(lost.cohort, "RuntimeError: out of luck", lost.attempt)
    run(coordinator)
    return [trial.key for trial in lost.trials]


def retrying(tmp_path: Path) -> Coordinator:
    of = study()
    coordinator = Coordinator(of, ["screen"], paths(tmp_path, of), gather("sweeper retry tiny.yaml"), retry=True)
    coordinator.open()
    return coordinator


def test_failed_trials_run_again_and_both_stores_say_so(tmp_path):
    failed = fail_one_cohort(tmp_path)
    store, tracking = f"sqlite:///{tmp_path}/optuna.db", f"sqlite:///{tmp_path}/mlflow.db"
    assert state_counts(store, "tiny") == {"screen": {"failed": 2, "complete": 4}}
    coordinator = retrying(tmp_path)
    assert coordinator.progress().counts == {"waiting": 2, "complete": 4}
    again = claimed(coordinator)
    assert [trial.key for trial in again.trials] == failed
    for step in again.rungs:
        coordinator.report(again.cohort, 1, reported(again, 5.0, step), FACTS, last=step == again.rungs[-1])
    assert coordinator.close(interrupted=False, timeout=60)
    assert state_counts(store, "tiny") == {"screen": {"complete": 6}}
    assert counts(tracking, "tiny") == {"complete": 6}
    assert {trial.note for trial in read_study(tracking, "tiny").trials} == {""}
    stored = optuna.load_study(study_name="tiny.screen", storage=store)
    assert [trial.state.name for trial in stored.trials].count("FAIL") == 2  # Optuna forgets nothing


def test_a_crash_after_the_retry_was_asked_for_leaves_trials_that_wait_and_no_second_copy(tmp_path):
    failed = fail_one_cohort(tmp_path)
    retrying(tmp_path).close(interrupted=True, timeout=60)
    retrying(tmp_path).close(interrupted=True, timeout=60)
    plain = open_coordinator(tmp_path, study())
    assert plain.progress().counts == {"waiting": 2, "complete": 4}
    assert [trial.key for trial in claimed(plain).trials] == failed


def test_a_trial_that_fails_again_can_be_retried_again(tmp_path):
    fail_one_cohort(tmp_path)
    coordinator = retrying(tmp_path)
    again = claimed(coordinator)
    coordinator.failed(again.cohort, "RuntimeError: out of luck twice", again.attempt)
    coordinator.close(interrupted=False, timeout=60)
    found = failures(f"sqlite:///{tmp_path}/optuna.db", "tiny")
    assert {failure.reason for failure in found} == {"RuntimeError: out of luck twice"}
    assert retrying(tmp_path).progress().counts == {"waiting": 2, "complete": 4}


def test_why_trials_failed_is_kept_in_the_store_and_a_retry_has_nothing_else_to_do(tmp_path):
    fail_one_cohort(tmp_path)
    (first, second) = failures(f"sqlite:///{tmp_path}/optuna.db", "tiny")
    assert first.label == "baseline, seed 0"
    assert first.reason == second.reason == "RuntimeError: out of luck"


def test_the_last_lines_name_what_failed_why_and_the_command_that_runs_it_again():
    done = Counts({"complete": 4, "failed": 1}, done=True)
    said = Result(done, failures=("1 failed: RuntimeError: out of luck (baseline, seed 0)",))
    assert said.exit_code == 1
    assert said.summary("sweeper run tiny.yaml --stage screen --yes").splitlines() == [
        "all is done: 4 complete, 1 failed",
        "1 failed: RuntimeError: out of luck (baseline, seed 0)",
        "to run them again: sweeper retry tiny.yaml --yes",
    ]
