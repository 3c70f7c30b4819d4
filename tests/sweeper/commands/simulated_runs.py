"""Runs of a study in one process: Ray alone is left out, and whoever stands for its workers does what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sweeper.coordinator.coordinator import Coordinator
from sweeper.coordinator.paths import Paths
from sweeper.placement.study_run import Outcome
from sweeper.records import Progress, Provenance, Stage, TrialSpec
from sweeper.study import Study
from sweeper.study.yaml_files import to_yaml
from sweeper.worker import cohort_run
from tests.conftest import copy_database
from tests.sweeper.coordinator.simulated_workers import SimulatedWorkers, Value

Workers = Callable[[Coordinator], object]


def flat(spec: TrialSpec, step: int) -> float:
    """A trial's objective where the loss does nothing."""
    return 10.0 + 100.0 / step + 0.1 * (sum(spec.key.encode()) % 7)


def simulated(value: Value = flat, slots: int = 2) -> Workers:
    """Workers that train nothing."""
    return lambda coordinator: SimulatedWorkers(coordinator, slots, value).run()


def trained(coordinator: Coordinator) -> None:
    """Do what a worker does, with real training."""
    while (cohort := coordinator.claim()) is not None:
        assignment = coordinator.begin(cohort)
        assert assignment
        cohort_run.run(coordinator, assignment)


class Placement:
    """Stands for `sweeper.placement.study_run.run_study`; `workers` do the work of the next run."""

    def __init__(self) -> None:
        self.workers: Workers = simulated()
        self.runs = 0

    def __call__(
        self,
        study: Study,
        stages: Sequence[Stage],
        paths: Paths,
        provenance: Provenance,
        address: str | None,
        show: Callable[[Progress], None],
        retry: bool = False,
    ) -> Outcome:
        assert address is None
        self.runs += 1
        coordinator = Coordinator(study, stages, paths, provenance, retry=retry)
        coordinator.open()
        self.workers(coordinator)
        show(coordinator.progress())
        delivered = coordinator.close(interrupted=False, timeout=60)
        return Outcome(0, delivered, coordinator.halted())


@pytest.fixture
def placement(monkeypatch: pytest.MonkeyPatch) -> Placement:
    placed = Placement()
    monkeypatch.setattr("sweeper.placement.study_run.run_study", placed)
    return placed


def prepared(root: Path, tables: Path) -> Path:
    """Give a workspace MLflow's tables, which take seconds to make."""
    root.mkdir(parents=True)
    copy_database(tables, root / "mlflow.db")
    return root


def written(study: Study, file: Path) -> Path:
    """Write a study's file."""
    file.write_text(to_yaml(study), encoding="utf-8")
    return file
