"""The schedule against a real Ray on this machine: what it refuses, what halts a study, where relative paths start."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from sweeper.coordinator.paths import Paths
from sweeper.errors import SetupError
from sweeper.ledger import read_study
from sweeper.placement.lane_count import lanes_for, measured
from sweeper.placement.ray_session import _scratch, session
from sweeper.placement.study_run import Outcome, run_study
from sweeper.planning.trials import GPU_LANES
from sweeper.provenance import gather
from sweeper.records import Progress
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.text.verbosity import forget_verbosity, set_verbosity
from tests.conftest import copy_database


def study(**resources: object) -> Study:
    return Study.model_validate(
        {
            "name": "own_data",
            "question": "Are my images found?",
            "recipe": {
                "data": {"name": "npz", "path": "mine.npz"},
                "model": {"width": 16, "depth": 1, "heads": 2},
                "train": {"steps": 4, "batch": 8},
                "eval": {"samples": 40, "batch": 20, "nfe": 2, "probe": 8},
            },
            "space": {"block": [0], "lambda": [0.1]},
            "screen": {"seeds": [0], "pruner": "none"},
            "resources": {"slots": 1, **resources},
        }
    )


@pytest.fixture
def paths(tmp_path: Path, tables: Path) -> Paths:
    """A workspace, and beside it a folder with a data set that the study names by a relative path."""
    for name in ("study", "cache", "base"):
        (tmp_path / name).mkdir()
    copy_database(tables, tmp_path / "mlflow.db")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "base" / "mine.npz", x=images, y=np.arange(60) % 3)
    return Paths(
        registration=Registration.of(study(), tmp_path),
        store_url=f"sqlite:///{tmp_path}/optuna.db",
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifacts=tmp_path / "artifacts",
        folder=tmp_path / "study",
        cache=tmp_path / "cache",
        seeds=tmp_path / "seeds.jsonl",
        base=tmp_path / "base",
    )


def run(of: Study, paths: Paths, address: str | None = None) -> tuple[Outcome, list[Progress]]:
    shown: list[Progress] = []
    outcome = run_study(of, ["screen"], paths, gather("sweeper run own.yaml"), address, shown.append)
    return outcome, shown


def test_more_cores_than_any_node_has_are_refused_with_what_there_is(paths):
    with pytest.raises(SetupError, match="needs 1000 CPUs and 0 GPUs on one node; the largest has"):
        run(study(cpus=1000, slots=None), paths)


def test_a_cluster_that_is_not_there_is_reported(paths):
    with pytest.raises(SetupError, match=r"cannot reach Ray at 127\.0\.0\.1:1"):
        run(study(), paths, address="127.0.0.1:1")


def test_a_sick_machine_halts_the_study_and_a_repaired_one_continues_it(paths):
    hidden = paths.base / "hidden.npz"
    (paths.base / "mine.npz").rename(hidden)
    outcome, _ = run(study(), paths)
    assert "mine.npz" in str(outcome.halted)
    assert not outcome.interrupted

    hidden.rename(paths.base / "mine.npz")
    outcome, shown = run(study(), paths)
    assert outcome == Outcome(interrupted=False, delivered=True, halted=None)
    record = read_study(paths.tracking_uri, "own_data")
    assert [trial.state for trial in record.trials] == ["complete", "complete"]
    assert record.study.recipe.data.path == "mine.npz"
    assert not (paths.folder / "ray").exists()
    assert all(progress.stage == "screen" for progress in shown)


def test_what_workers_log_reaches_the_driver_where_all_is_printed(paths, caplog):
    set_verbosity(verbose=True)
    try:
        outcome, _ = run(study(), paths)
    finally:
        forget_verbosity()
    assert outcome == Outcome(interrupted=False, delivered=True, halted=None)
    said = [one.getMessage() for one in caplog.records if one.name == "sweeper.worker.cohort_run"]
    assert any(", seed 0, attempt 1, from step 0 (" in line for line in said)
    own = f"process {os.getpid()})"
    assert said
    assert not [line for line in said if own in line]


def test_lanes_are_measured_once_in_a_process_of_their_own_and_guessed_where_that_fails(paths):
    of = study()
    assert lanes_for(of, paths) == 1  # a CPU: nothing to measure, and no Ray is asked
    assert lanes_for(study(cohort=3, gpus=1), paths) == 3
    with session(of.resources, None):
        lanes = measured(of, paths)
        assert lanes >= 1
        (kept,) = paths.cache.glob("lanes-*.safetensors")
        written = kept.stat().st_mtime_ns
        assert measured(of, paths) == lanes
        assert kept.stat().st_mtime_ns == written
        kept.unlink()
        (paths.base / "mine.npz").unlink()
        assert measured(of, paths) == GPU_LANES


def test_the_folder_of_a_killed_driver_is_cleared_by_the_next_and_a_living_ones_is_not():
    dead, alive = (Path(tempfile.mkdtemp(prefix="sweeper-")) for _ in range(2))
    (dead / "lock").touch()
    try:
        with FileLock(alive / "lock"), _scratch() as folder:
            assert not dead.exists()
            assert alive.exists()
            assert Path(folder, "lock").exists()
        assert not Path(folder).exists()
    finally:
        shutil.rmtree(alive)
