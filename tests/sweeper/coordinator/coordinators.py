"""What tests of the coordinator share: a tiny study, a workspace that is ready, and what a worker does."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.paths import Paths
from sweeper.provenance import gather
from sweeper.records import Facts, Rung, Stage
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.worker.messages import Assignment, LaneReport
from tests.conftest import copy_database

FACTS = Facts(data_hash="d", extractor="domain", extractor_sha256="e", device="cpu")


def study(**changes: object) -> Study:
    tree = {
        "name": "tiny",
        "question": "Does the coordinator work?",
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


def paths(root: Path, of: Study | None = None) -> Paths:
    for name in ("study", "cache"):
        (root / name).mkdir(exist_ok=True)
    return Paths(
        registration=Registration.of(of or study(), root).model_copy(update={"id": "one"}),
        store_url=f"sqlite:///{root}/optuna.db",
        tracking_uri=f"sqlite:///{root}/mlflow.db",
        artifacts=root / "artifacts",
        folder=root / "study",
        cache=root / "cache",
        seeds=root / "seeds.jsonl",
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


def open_coordinator(root: Path, of: Study, stages: Sequence[Stage] = ("screen",)) -> Coordinator:
    coordinator = Coordinator(of, stages, paths(root, of), gather("sweeper run tiny.yaml"))
    coordinator.open()
    return coordinator


def reported(assignment: Assignment, value: float, step: int = 0, **changes: object) -> list[LaneReport]:
    rung = Rung(step=step or assignment.rungs[0], metrics={"fid_40": value})
    return [
        LaneReport.model_validate({"key": key, "diverged": False, "rung": rung} | changes)
        for key in sorted(assignment.living)
    ]


def claimed(coordinator: Coordinator) -> Assignment:
    cohort = coordinator.claim()
    assert cohort is not None
    return begun(coordinator, cohort)


def begun(coordinator: Coordinator, cohort: str) -> Assignment:
    assignment = coordinator.begin(cohort)
    assert assignment is not None
    return assignment
