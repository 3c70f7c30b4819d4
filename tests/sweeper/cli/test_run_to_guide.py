"""`run` and `retry` from arguments to exit code, with workers that train nothing: Ray alone is left out."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.seed_registry import SeedRegistry
from sweeper.errors import StaleAttemptError
from sweeper.records import Facts
from sweeper.study.registration import Registration
from sweeper.worker.failure_kinds import halting_error
from sweeper.worker.messages import Assignment
from sweeper.workspace import Workspace
from tests.sweeper.cli.test_app import Ran, Run, run
from tests.sweeper.commands.simulated_runs import Placement, Workers, placement, prepared, simulated, written
from tests.sweeper.coordinator.coordinators import FACTS, reported, study

__all__ = ["placement", "run"]  # fixtures, used by being here

TRIALS = 6


@pytest.fixture
def file(tmp_path: Path, tables: Path) -> Path:
    """A study of six trials, in a workspace that has MLflow's tables."""
    prepared(tmp_path / ".sweeper", tables)
    return written(study(resources={"cohort": 1}), tmp_path / "tiny.yaml")


def first(coordinator: Coordinator, facts: Facts = FACTS) -> Assignment:
    """Let a worker begin the first cohort."""
    given = coordinator.next(0, coordinator.enter(0))
    assert given
    coordinator.started(given.cohort, given.attempt, facts)
    return given


def then(beginning: Workers) -> Workers:
    """Workers of whom the first does something else."""

    def work(coordinator: Coordinator) -> None:
        beginning(coordinator)
        simulated()(coordinator)

    return work


def a_full_disk(coordinator: Coordinator) -> None:
    given = first(coordinator)
    coordinator.report(given.cohort, given.attempt, reported(given, 5.0), FACTS, last=False)
    full = OSError(errno.ENOSPC, "No space left on device")
    coordinator.halt(given.cohort, halting_error(full), given.attempt)


def other_data(coordinator: Coordinator) -> None:
    with pytest.raises(StaleAttemptError):
        first(coordinator, FACTS.model_copy(update={"data_hash": "another"}))


def a_failure(coordinator: Coordinator) -> None:
    given = first(coordinator)
    coordinator.failed(given.cohort, "RuntimeError: out of luck", given.attempt, "Traceback")


def a_death(coordinator: Coordinator) -> None:
    first(coordinator)
    coordinator.died(0)


def has_no_traceback(ran: Ran) -> bool:
    return "Traceback" not in ran.err


def test_a_halted_study_exits_with_the_code_of_what_halted_it_and_the_same_command_continues(
    run: Run, placement: Placement, file: Path, tmp_path: Path
) -> None:
    command = ("run", file, "--yes")
    placement.workers = a_full_disk
    ran = run(*command)
    assert ran.code == 3
    assert "error: the study was stopped: OSError: [Errno 28] No space left on device\n" in ran.err
    assert "run the same command again to continue" in ran.err
    assert has_no_traceback(ran)
    assert not (tmp_path / "reports" / "tiny" / "guide.md").exists()

    placement.workers = other_data
    ran = run(*command)
    assert ran.code == 4
    assert "error: the study was stopped: " in ran.err
    assert "another" in ran.err
    assert has_no_traceback(ran)

    placement.workers = simulated()
    ran = run(*command)
    assert (ran.code, ran.out) == (0, "reports/tiny/guide.md\n")
    assert f"all is done: {TRIALS} complete" in ran.err
    assert placement.runs == 3


def test_a_trial_that_failed_is_named_with_its_reason_and_retry_alone_runs_it_again(
    run: Run, placement: Placement, file: Path, tmp_path: Path
) -> None:
    guide = tmp_path / "reports" / "tiny" / "guide.md"
    placement.workers = then(a_failure)
    ran = run("run", file, "--yes")
    assert (ran.code, ran.out) == (1, "reports/tiny/guide.md\n")
    assert f"all is done: {TRIALS - 1} complete, 1 failed" in ran.err
    assert "1 failed: RuntimeError: out of luck (" in ran.err
    assert f"to run them again: sweeper retry {file} --yes\n" in ran.err
    assert "RuntimeError: out of luck" in guide.read_text()

    placement.workers = simulated()
    assert run("run", file, "--yes").code == 1
    assert placement.runs == 1

    ran = run("retry", file, "--yes")
    assert (ran.code, ran.out) == (0, "reports/tiny/guide.md\n")
    assert f"all is done: {TRIALS} complete" in ran.err
    assert placement.runs == 2
    assert "out of luck" not in guide.read_text()

    assert run("retry", file, "--yes").code == 0
    assert placement.runs == 2


def test_a_worker_that_dies_where_no_retry_is_allowed_fails_its_trial_and_no_other(
    run: Run, placement: Placement, file: Path
) -> None:
    once = ("--yes", "--set", "resources.retries=0")
    placement.workers = then(a_death)
    ran = run("run", file, *once)
    assert ran.code == 1
    assert f"all is done: {TRIALS - 1} complete, 1 failed" in ran.err
    assert "1 failed: its worker process ended once before it could report (" in ran.err
    placement.workers = simulated()
    assert run("retry", file, *once).code == 0


def test_a_worker_that_dies_is_replaced_where_retries_are_allowed(run: Run, placement: Placement, file: Path) -> None:
    placement.workers = then(a_death)
    assert run("run", file, "--yes", "--set", "resources.retries=1").code == 0


def test_a_wrong_path_of_the_data_leaves_nothing_behind_and_the_corrected_study_runs(
    run: Run, placement: Placement, tmp_path: Path, tables: Path
) -> None:
    file = written(study(), tmp_path / "mine.yaml")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=pixels, y=np.arange(60) % 3)
    before = sorted(tmp_path.iterdir())

    def data(path: str) -> tuple[str, ...]:
        return ("run", str(file), "--yes", "--set", f"recipe.data={{name: npz, path: {path}}}")

    ran = run(*data("mien.npz"))
    assert ran.code == 4
    assert "mien.npz" in ran.err
    assert sorted(tmp_path.iterdir()) == before
    assert placement.runs == 0

    prepared(tmp_path / ".sweeper", tables)
    ran = run(*data("mine.npz"))
    assert ran.code == 0, ran.err
    assert placement.runs == 1


def test_seeds_that_another_study_looked_at_are_refused_as_fresh_before_anything_is_registered(
    run: Run, placement: Placement, tmp_path: Path
) -> None:
    of = study(confirm={"top": 1, "seeds": [7, 8]})
    place = Workspace(tmp_path / ".sweeper")
    place.root.mkdir()
    SeedRegistry(place.seeds).add(Registration.of(study(name="another"), place.root), (8,))
    ran = run("run", written(of, tmp_path / "tiny.yaml"), "--yes")
    assert ran.code == 2
    assert "confirm.seeds: not fresh: another already used them with this recipe: 8\n" in ran.err
    assert place.registration("tiny") is None
    assert placement.runs == 0


def test_the_study_that_init_writes_runs_to_its_guide_as_it_is(
    run: Run, placement: Placement, tmp_path: Path, tables: Path
) -> None:
    prepared(tmp_path / ".sweeper", tables)
    said = run("init", "mine.yaml").err
    assert "next: sweeper check mine.yaml, sweeper run mine.yaml" in said
    assert run("check", "mine.yaml").code == 0
    assert run("plan", "mine.yaml", "--on", "8xH100").code == 0
    ran = run("run", "mine.yaml", "--yes")
    assert (ran.code, ran.out) == (0, "reports/my_study/guide.md\n")
    assert placement.runs == 1
    guide = (tmp_path / "reports" / "my_study" / "guide.md").read_text()
    assert "fresh seeds" in guide
