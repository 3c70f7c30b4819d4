"""The desk and a worker in one process: a whole study without Ray, against the real search and ledger."""

import json
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest

from sweeper import worker
from sweeper.desk import Desk
from sweeper.errors import StaleAttemptError, StudyError
from sweeper.ledger import counts, read_study
from sweeper.places import Places
from sweeper.provenance import gather
from sweeper.records import Assignment, Facts, LaneReport, Rung, Stage
from sweeper.study import Study
from tests.conftest import copy_database

FACTS = Facts(data_hash="d", extractor="domain", extractor_sha256="e", device="cpu")


def study(**changes: object) -> Study:
    tree = {
        "name": "tiny",
        "question": "Does the desk work?",
        "recipe": {
            "model": {"width": 16, "depth": 2, "heads": 2},
            "train": {"steps": 8, "batch": 8, "warmup": 2},
            "eval": {"samples": 40, "batch": 20, "nfe": 2, "probe": 8},
        },
        "space": {"block": [0, 1], "lambda": [0.1], "tau": [0.5]},
        "screen": {"seeds": [0, 1], "pruner": "none"},
        "resources": {"cohort": 2},
    }
    return Study.model_validate(tree | changes)


def places(root: Path) -> Places:
    for name in ("study", "cache"):
        (root / name).mkdir(exist_ok=True)
    return Places(
        store_url=f"sqlite:///{root}/optuna.db",
        tracking_uri=f"sqlite:///{root}/mlflow.db",
        artifacts=root / "artifacts",
        folder=root / "study",
        cache=root / "cache",
        base=root,
    )


def make_ready(root: Path, tables: Path, extractor_cache: Path) -> None:
    """Give a workspace what takes seconds to make."""
    root.mkdir(exist_ok=True)
    copy_database(tables, root / "mlflow.db")
    (root / "cache").symlink_to(extractor_cache)


@pytest.fixture(autouse=True)
def ready(tables: Path, extractor_cache: Path, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "whole", tmp_path / "cut"):
        make_ready(root, tables, extractor_cache)


def open_desk(root: Path, of: Study, stages: Sequence[Stage] = ("screen",)) -> Desk:
    desk = Desk(of, stages, places(root), gather("sweeper run tiny.yaml"))
    desk.open()
    return desk


def test_a_cohort_has_the_lanes_that_were_measured(tmp_path):
    desk = Desk(study(), ["screen"], places(tmp_path), gather("sweeper run tiny.yaml"), lanes=3)
    desk.open()
    assert len(claimed(desk).trials) == 3


def reported(assignment: Assignment, value: float, step: int = 0, **changes: object) -> list[LaneReport]:
    rung = Rung(step=step or assignment.rungs[0], metrics={"fid_40": value})
    return [
        LaneReport.model_validate({"key": key, "diverged": False, "rung": rung} | changes)
        for key in sorted(assignment.living)
    ]


def claimed(desk: Desk) -> Assignment:
    cohort = desk.claim()
    assert cohort is not None
    return begun(desk, cohort)


def begun(desk: Desk, cohort: str) -> Assignment:
    assignment = desk.begin(cohort)
    assert assignment is not None
    return assignment


def test_a_study_of_two_lane_cohorts_runs_to_its_end_with_real_training(tmp_path):
    desk = open_desk(tmp_path, study())
    while (cohort := desk.claim()) is not None:
        assignment = begun(desk, cohort)
        assert assignment.sources or len({trial.seed for trial in assignment.trials}) == 1
        worker.run(desk, assignment)
    assert desk.done()
    assert desk.progress().counts == {"complete": 6}
    assert desk.close(interrupted=False, timeout=60)
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
    desk = open_desk(tmp_path, of)
    while (cohort := desk.claim()) is not None:
        worker.run(desk, begun(desk, cohort))
    assert desk.progress().counts == {"complete": 3}
    assert desk.close(interrupted=False, timeout=60)
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
        """A desk whose line breaks after the first rung was reported."""

        def __init__(self, desk: Desk) -> None:
            self.started, self._desk = desk.started, desk

        def report(self, *news: object) -> frozenset[str]:
            self._desk.report(*news)  # type: ignore[arg-type]
            raise CutError

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    desk = open_desk(whole, study())
    worker.run(desk, claimed(desk))
    desk.close(interrupted=True, timeout=60)

    broken = open_desk(cut, study())
    with pytest.raises(CutError):
        worker.run(Cut(broken), claimed(broken))  # type: ignore[arg-type]
    broken.close(interrupted=True, timeout=60)
    again = open_desk(cut, study())
    assignment = claimed(again)
    assert Path(assignment.checkpoint).exists()
    worker.run(again, assignment)
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
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    path = Path(assignment.checkpoint)
    path.write_bytes(b"\0" * 1000)
    worker.run(desk, assignment)
    assert "training starts again from step 0" in caplog.text
    assert desk.progress().counts["complete"] == 2


def test_a_stale_attempt_is_turned_away(tmp_path):
    desk = open_desk(tmp_path, study())
    first = claimed(desk)
    second = begun(desk, first.cohort)
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(StaleAttemptError):
        desk.report(first.cohort, first.attempt, reported(first, 1.0), FACTS, last=False)
    assert desk.report(second.cohort, second.attempt, reported(second, 1.0), FACTS, last=False) == second.living
    desk.failed(first.cohort, "a dying word", first.attempt)
    assert "failed" not in desk.progress().counts


def test_a_rung_reported_twice_counts_once(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    for value in (5.0, 7.0):
        desk.report(assignment.cohort, 1, reported(assignment, value), FACTS, last=False)
    desk.close(interrupted=True, timeout=60)
    trials = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").trials
    assert [[rung.metrics["fid_40"] for rung in trial.rungs] for trial in trials] == [[5.0], [5.0]]


def test_a_crash_hands_the_same_cohort_out_again_without_its_finished_lanes(tmp_path):
    of = study(space={"block": [0], "lambda": [0.1]}, screen={"seeds": [0], "pruner": "none"})
    desk = open_desk(tmp_path, of)
    assignment = claimed(desk)
    calm, burnt = reported(assignment, 5.0)
    survivors = desk.report(
        assignment.cohort, 1, [calm, burnt.model_copy(update={"diverged": True})], FACTS, last=False
    )
    assert survivors == {calm.key}
    desk.close(interrupted=True, timeout=60)
    again = claimed(open_desk(tmp_path, of))
    assert again.cohort == assignment.cohort
    assert again.trials == assignment.trials
    assert again.living == {calm.key}


def test_trials_claimed_but_never_stored_are_handed_out_again(tmp_path):
    desk = open_desk(tmp_path, study())
    lost = claimed(desk)
    (tmp_path / "study" / "cohorts" / lost.cohort / "lanes.json").unlink()
    desk.close(interrupted=True, timeout=60)
    again = open_desk(tmp_path, study())
    keys = [trial.key for _ in lost.trials for trial in claimed(again).trials]
    assert keys == [trial.key for trial in lost.trials]


def test_a_failed_cohort_ends_as_failed_in_both_stores_and_says_why(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    desk.failed(assignment.cohort, "RuntimeError: out of luck", assignment.attempt)
    assert desk.progress().counts["failed"] == 2
    desk.close(interrupted=False, timeout=60)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert counts(uri, "tiny")["failed"] == 2
    assert {trial.note for trial in read_study(uri, "tiny").trials} == {"RuntimeError: out of luck"}


def test_the_race_stops_running_lanes_and_records_those_it_drops(tmp_path):
    racing = study(screen={"seeds": [0, 1, 2], "pruner": "race"}, resources={"cohort": 1})
    desk = open_desk(tmp_path, racing)
    hopeless = None
    while (cohort := desk.claim()) is not None:
        assignment = begun(desk, cohort)
        desk.started(cohort, assignment.attempt)
        behind = assignment.trials[0].cell.dispersion.blocks == (1,)
        survivors = desk.report(cohort, 1, reported(assignment, 1000.0 if behind else 10.0), FACTS, last=False)
        if survivors:
            desk.report(cohort, 1, reported(assignment, 9.0, assignment.rungs[-1]), FACTS, last=True)
        else:
            hopeless = assignment.trials[0]
    assert hopeless is not None
    assert hopeless.seed == 0
    assert desk.progress().counts == {"complete": 6, "pruned": 3}
    desk.close(interrupted=False, timeout=60)
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
    desk = open_desk(tmp_path, of, ["screen", "confirm"])
    confirmed = []
    while (cohort := desk.claim()) is not None:
        assignment = begun(desk, cohort)
        if assignment.trials[0].stage == "confirm":
            confirmed += [(trial.cell.label, trial.seed) for trial in assignment.trials]
        for step in assignment.rungs:
            reports = [
                report.model_copy(update={"rung": Rung(step=step, metrics={"fid_40": 5.0 + len(report.key)})})
                if "baseline" in report.key
                else report
                for report in reported(assignment, 10.0 - (assignment.trials[-1].cell.dispersion.lam == 0.2), step)
            ]
            desk.report(cohort, 1, reports, FACTS, last=step == assignment.rungs[-1])
    labels = {label for label, _ in confirmed}
    assert len(labels) == 3
    assert {"baseline", "block 0, lambda 0.5, tau 0.5"} <= labels
    assert {seed for _, seed in confirmed} == {7, 8}
    assert desk.done()


def test_an_interrupted_study_stays_open_in_both_stores(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    desk.started(assignment.cohort, 1)
    desk.close(interrupted=True, timeout=60)
    assert counts(f"sqlite:///{tmp_path}/mlflow.db", "tiny") == {"running": 2}
    again = open_desk(tmp_path, study())
    assert again.progress().counts == {"running": 2, "waiting": 4}
    while again.claim() is not None:
        pass
    assert not again.done()


def test_a_cohort_that_is_finished_is_not_begun_again(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    desk.report(assignment.cohort, 1, reported(assignment, 1.0, assignment.rungs[-1]), FACTS, last=True)
    assert desk.begin(assignment.cohort) is None


def test_a_sick_machine_halts_the_study_and_no_trial_is_judged(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    desk.halt(assignment.cohort, "OSError: disk full", assignment.attempt)
    assert desk.halted() == "OSError: disk full"
    assert desk.claim() is None
    assert desk.done()
    assert desk.progress().counts == {"running": 2, "waiting": 4}
    desk.close(interrupted=True, timeout=60)
    assert claimed(open_desk(tmp_path, study())).cohort == assignment.cohort


def test_a_closed_desk_turns_workers_away(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    desk.close(interrupted=True, timeout=60)
    with pytest.raises(StaleAttemptError):
        desk.report(assignment.cohort, 1, reported(assignment, 1.0), FACTS, last=False)


def test_confirming_needs_a_finished_screen_and_spares_its_checkpoints(tmp_path):
    of = study(confirm={"top": 1, "seeds": [7, 8]})
    desk = open_desk(tmp_path, of, ["screen", "confirm"])
    claimed(desk)
    desk.close(interrupted=True, timeout=60)
    with pytest.raises(StudyError, match="screen is not finished"):
        open_desk(tmp_path, of, ["confirm"])
    assert len(list((tmp_path / "study" / "cohorts").iterdir())) == 1


def test_wall_time_and_the_fid_check_add_up_over_runs(tmp_path):
    desk = open_desk(tmp_path, study())
    assignment = claimed(desk)
    rung = Rung(step=assignment.rungs[0], metrics={"fid_40": 1.0, "torch_fidelity_difference": 1e-9})
    desk.started(assignment.cohort, 1)
    desk.report(assignment.cohort, 1, reported(assignment, 1.0, rung=rung), FACTS, last=False)
    desk.close(interrupted=True, timeout=60)
    assert json.loads((tmp_path / "study" / "spent.json").read_text())["first_step_at"] is not None
    first = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").provenance
    again = open_desk(tmp_path, study())
    assert not claimed(again).check_fid
    again.close(interrupted=True, timeout=60)
    second = read_study(f"sqlite:///{tmp_path}/mlflow.db", "tiny").provenance
    assert second.wall_s > first.wall_s > 0
    assert second.torch_fidelity_difference == 1e-9
    assert second.started == first.started
