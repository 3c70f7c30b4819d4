"""The coordinator alone, told of training that nobody did, against the real search and ledger."""

import errno
import json
from dataclasses import replace
from typing import NoReturn

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.finalists import Finalists
from sweeper.errors import SetupError, StaleAttemptError, StudyError
from sweeper.ledger import counts, read_study
from sweeper.provenance import gather
from sweeper.records import Rung
from sweeper.worker.messages import LaneReport
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


def test_a_cohort_has_the_lanes_that_were_measured(tmp_path):
    coordinator = Coordinator(study(), ["screen"], paths(tmp_path), gather("sweeper run tiny.yaml"), lanes=3)
    coordinator.open()
    assert len(claimed(coordinator).trials) == 3


def test_a_stale_attempt_is_turned_away(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    first = claimed(coordinator)
    second = begun(coordinator, first.cohort)
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(StaleAttemptError):
        coordinator.report(first.cohort, first.attempt, reported(first, 1.0), FACTS, last=False)
    assert coordinator.report(second.cohort, second.attempt, reported(second, 1.0), FACTS, last=False) == second.living
    coordinator.failed(first.cohort, "a dying word", first.attempt)
    assert "failed" not in coordinator.progress().counts


def test_a_rung_reported_twice_counts_once(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    for value in (5.0, 7.0):
        coordinator.report(assignment.cohort, 1, reported(assignment, value), FACTS, last=False)
    coordinator.close(interrupted=True, timeout=60)
    trials = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").trials
    assert [[rung.metrics["fid_40"] for rung in trial.rungs] for trial in trials] == [[5.0], [5.0]]


def test_second_objectives_of_the_last_rung_are_in_the_search_once_and_for_all(tmp_path):
    of = study(second_objectives=["recall", "cost"], resources={"cohort": 4})
    coordinator = open_coordinator(tmp_path, of)
    assignment = claimed(coordinator)
    for recall, step in ((0.1, assignment.rungs[0]), (0.2, assignment.rungs[-1]), (0.3, assignment.rungs[-1])):
        last, metrics = step == assignment.rungs[-1], {"fid_40": 5.0, "recall_40": recall, "train_s": 7.0}
        reports = [
            LaneReport(key=key, diverged=False, rung=Rung(step=step, metrics=metrics))
            for key in sorted(assignment.living)
        ]
        coordinator.report(assignment.cohort, 1, reports, FACTS, last and recall == 0.3)
    expected = {key: {"recall_40": 0.2, "train_s": 7.0} for key in assignment.living}
    assert coordinator._search.beside() == expected
    coordinator.close(interrupted=True, timeout=60)
    again = open_coordinator(tmp_path, of)
    assert again._search.beside() == expected
    again.close(interrupted=True, timeout=60)


def test_trials_are_judged_by_the_studys_objective_at_every_rung(tmp_path):
    coordinator = open_coordinator(tmp_path, study(objective="recall", resources={"cohort": 4}))
    assignment = claimed(coordinator)
    assert assignment.objective == "recall"
    keys = sorted(assignment.living)
    for last, step in ((False, assignment.rungs[0]), (True, assignment.rungs[-1])):
        reports = [
            LaneReport(key=key, diverged=False, rung=Rung(step=step, metrics={"recall_40": 0.1 * (1 + place)}))
            for place, key in enumerate(keys)
        ]
        coordinator.report(assignment.cohort, 1, reports, FACTS, last)
    label = next(trial.cell.label for trial in assignment.trials if trial.key == keys[-1])
    assert coordinator.progress().lowest == f"{label}: 1/recall_40 {1 / (0.1 * len(keys)):.3g}"


def test_a_crash_hands_the_same_cohort_out_again_without_its_finished_lanes(tmp_path):
    of = study(space={"block": [0], "lambda": [0.1]}, screen={"seeds": [0], "pruner": "none"})
    coordinator = open_coordinator(tmp_path, of)
    assignment = claimed(coordinator)
    calm, burnt = reported(assignment, 5.0)
    survivors = coordinator.report(
        assignment.cohort, 1, [calm, burnt.model_copy(update={"diverged": True})], FACTS, last=False
    )
    assert survivors == {calm.key}
    coordinator.close(interrupted=True, timeout=60)
    again = claimed(open_coordinator(tmp_path, of))
    assert again.cohort == assignment.cohort
    assert again.trials == assignment.trials
    assert again.living == {calm.key}


def test_trials_claimed_but_never_stored_are_handed_out_again(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    lost = claimed(coordinator)
    (tmp_path / "study" / "cohorts" / lost.cohort / "lanes.json").unlink()
    coordinator.close(interrupted=True, timeout=60)
    again = open_coordinator(tmp_path, study())
    keys = [trial.key for _ in lost.trials for trial in claimed(again).trials]
    assert keys == [trial.key for trial in lost.trials]


def test_a_failed_cohort_ends_as_failed_in_both_stores_and_says_why(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.failed(assignment.cohort, "RuntimeError: out of luck", assignment.attempt)
    assert coordinator.progress().counts["failed"] == 2
    coordinator.close(interrupted=False, timeout=60)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert counts(uri, "tiny")["failed"] == 2
    assert {trial.note for trial in read_study(uri, "tiny").trials} == {"RuntimeError: out of luck"}


def test_the_race_stops_running_lanes_and_records_those_it_drops(tmp_path):
    racing = study(screen={"seeds": [0, 1, 2], "pruner": "race"}, resources={"cohort": 1})
    coordinator = open_coordinator(tmp_path, racing)
    hopeless = None
    while (cohort := coordinator.claim()) is not None:
        assignment = begun(coordinator, cohort)
        coordinator.started(cohort, assignment.attempt, FACTS)
        behind = assignment.trials[0].cell.dispersion.blocks == (1,)
        survivors = coordinator.report(cohort, 1, reported(assignment, 1000.0 if behind else 10.0), FACTS, last=False)
        if survivors:
            coordinator.report(cohort, 1, reported(assignment, 9.0, assignment.rungs[-1]), FACTS, last=True)
        else:
            hopeless = assignment.trials[0]
    assert hopeless is not None
    assert hopeless.seed == 0
    assert coordinator.progress().counts == {"complete": 6, "pruned": 3}
    coordinator.close(interrupted=False, timeout=60)
    record = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny")
    notes = [trial.note for trial in record.trials if trial.state == "pruned"]
    assert sorted(note.split(":")[0] for note in notes) == ["never started", "never started", "stopped"]
    assert counts(f"sqlite:///{tmp_path}/mlflow.db", "tiny") == {"complete": 6, "pruned": 3}


def test_the_confirm_stage_follows_with_the_best_the_marked_and_the_baseline_on_fresh_seeds(tmp_path):
    of = study(
        space={"block": [0, 1], "lambda": [0.1, 0.2], "tau": [0.5]},
        cells=[{"label": "the paper's", "block": 0, "lambda": 0.5, "tau": 0.5}],
        confirm={"top": 1, "seeds": [7, 8]},
    )
    coordinator = open_coordinator(tmp_path, of, ["screen", "confirm"])
    confirmed = []
    while (cohort := coordinator.claim()) is not None:
        assignment = begun(coordinator, cohort)
        if assignment.trials[0].stage == "confirm":
            confirmed += [(trial.cell.label, trial.seed) for trial in assignment.trials]
        for step in assignment.rungs:
            reports = [
                report.model_copy(update={"rung": Rung(step=step, metrics={"fid_40": 5.0 + len(report.key)})})
                if "baseline" in report.key
                else report
                for report in reported(assignment, 10.0 - (assignment.trials[-1].cell.dispersion.lam == 0.2), step)
            ]
            coordinator.report(cohort, 1, reports, FACTS, last=step == assignment.rungs[-1])
    labels = {label for label, _ in confirmed}
    assert len(labels) == 3
    assert {"baseline", "block 0, lambda 0.5, tau 0.5"} <= labels
    assert {seed for _, seed in confirmed} == {7, 8}
    assert coordinator.done()


def test_a_disk_that_fails_between_the_stages_halts_the_study_and_the_next_run_confirms(tmp_path, monkeypatch):
    of, stages = (
        study(screen={"seeds": [0], "pruner": "none"}, confirm={"top": 1, "seeds": [7, 8]}),
        ("screen", "confirm"),
    )

    def run(coordinator: Coordinator) -> None:
        while (cohort := coordinator.claim()) is not None:
            assignment = begun(coordinator, cohort)
            for step in assignment.rungs:
                last = step == assignment.rungs[-1]
                coordinator.report(cohort, 1, reported(assignment, 5.0, step), FACTS, last=last)

    def fails(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    coordinator = open_coordinator(tmp_path, of, stages)
    with monkeypatch.context() as full:
        full.setattr(Finalists, "keep", fails)
        run(coordinator)
    assert coordinator.done()
    assert "No space left on device" in str(coordinator.halted())
    assert coordinator.progress().counts == {"complete": 3}
    assert coordinator.close(interrupted=True, timeout=60)
    again = open_coordinator(tmp_path, of, stages)
    run(again)
    assert again.progress().counts == {"complete": 7}
    assert not again.halted()


def test_an_interrupted_study_stays_open_in_both_stores(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.started(assignment.cohort, 1, FACTS)
    coordinator.close(interrupted=True, timeout=60)
    assert counts(f"sqlite:///{tmp_path}/mlflow.db", "tiny") == {"running": 2}
    again = open_coordinator(tmp_path, study())
    assert again.progress().counts == {"running": 2, "waiting": 4}
    while again.claim() is not None:
        pass
    assert not again.done()


def test_a_cohort_that_is_finished_is_not_begun_again(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.report(assignment.cohort, 1, reported(assignment, 1.0, assignment.rungs[-1]), FACTS, last=True)
    assert coordinator.begin(assignment.cohort) is None


def test_a_sick_machine_halts_the_study_and_no_trial_is_judged(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.halt(assignment.cohort, SetupError("OSError: disk full"), assignment.attempt)
    assert str(coordinator.halted()) == "OSError: disk full"
    assert coordinator.claim() is None
    assert coordinator.done()
    assert coordinator.progress().counts == {"running": 2, "waiting": 4}
    coordinator.close(interrupted=True, timeout=60)
    assert claimed(open_coordinator(tmp_path, study())).cohort == assignment.cohort


def test_a_closed_coordinator_turns_workers_away(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    coordinator.close(interrupted=True, timeout=60)
    with pytest.raises(StaleAttemptError):
        coordinator.report(assignment.cohort, 1, reported(assignment, 1.0), FACTS, last=False)


def test_confirming_needs_a_finished_screen_and_spares_its_checkpoints(tmp_path):
    of = study(confirm={"top": 1, "seeds": [7, 8]})
    coordinator = open_coordinator(tmp_path, of, ["screen", "confirm"])
    claimed(coordinator)
    coordinator.close(interrupted=True, timeout=60)
    with pytest.raises(StudyError, match="screen is not finished"):
        open_coordinator(tmp_path, of, ["confirm"])
    assert len(list((tmp_path / "study" / "cohorts").iterdir())) == 1


def test_wall_time_and_the_fid_check_add_up_over_runs(tmp_path):
    coordinator = open_coordinator(tmp_path, study())
    assignment = claimed(coordinator)
    rung = Rung(step=assignment.rungs[0], metrics={"fid_40": 1.0, "torch_fidelity_difference": 1e-9})
    coordinator.started(assignment.cohort, 1, FACTS)
    coordinator.report(assignment.cohort, 1, reported(assignment, 1.0, rung=rung), FACTS, last=False)
    coordinator.close(interrupted=True, timeout=60)
    assert json.loads((tmp_path / "study" / "spent.json").read_text())["first_step_at"] is not None
    first = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").provenance
    again = open_coordinator(tmp_path, study())
    assert not claimed(again).check_fid
    again.close(interrupted=True, timeout=60)
    second = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").provenance
    assert second.wall_s > first.wall_s > 0
    assert second.torch_fidelity_difference == 1e-9
    assert second.started == first.started


@pytest.mark.parametrize(
    ("sampling", "compile", "precision"),
    [
        (None, "auto", "auto"),
        ("eager fp32", "auto", "auto"),
        ("compiled fp32", "on", "auto"),
        ("eager bf16", "auto", "bf16"),
        ("compiled bf16", "on", "bf16"),
    ],
)
def test_all_of_a_studys_workers_draw_samples_as_it_was_chosen_when_it_began(sampling, compile, precision, tmp_path):
    of = paths(tmp_path, study())
    registration = of.registration.model_copy(update={"sampling": sampling})
    coordinator = Coordinator(
        study(), ("screen",), replace(of, registration=registration), gather("sweeper run x.yaml")
    )
    coordinator.open()
    recipe = claimed(coordinator).recipe
    assert (recipe.eval.compile, recipe.eval.precision) == (compile, precision)
    assert recipe.eval.model_copy(update={"compile": "auto", "precision": "auto"}) == study().recipe.eval
    coordinator.close(interrupted=True, timeout=10)
