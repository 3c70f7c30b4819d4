"""Cohorts that part and join at rungs, by workers that train nothing: full as long as trials wait, and none is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NoReturn

import pytest

from sweeper.coordinator.cohort_store import CohortFolder
from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import StaleAttemptError
from sweeper.ledger import read_study
from sweeper.records import Rung, TrialRecord, TrialSpec
from sweeper.study import Study
from sweeper.worker.messages import Assignment, LaneReport
from tests.sweeper.coordinator.coordinators import FACTS, claimed, open_coordinator, ready, reported, study
from tests.sweeper.coordinator.simulated_workers import SimulatedWorkers

__all__ = ["ready"]  # a fixture, used by being here


def racing(lanes: int = 8) -> Study:
    """Sixteen configurations on three seeds; the race finds those of tau 1 hopeless."""
    return study(
        space={"block": [0], "lambda": [0.1, 0.2, 0.3, 0.4, 0.5], "tau": [0.25, 0.5, 1]},
        screen={"seeds": [0, 1, 2], "pruner": "race", "rungs": [0.25, 0.5, 1], "audit_fraction": 0},
        resources={"cohort": lanes, "retries": 1},
    )


def objective(spec: TrialSpec, step: int) -> float | None:
    """One trial in ten diverges at its first rung, by chance of its name."""
    if step == 2 and sum(spec.key.encode()) % 10 == 0:
        return None
    return 1000.0 if spec.cell.dispersion.tau == 1 and spec.cell.dispersion.lam else 10.0


def stored(root: Path) -> list[str]:
    return sorted(folder.name for folder in (root / "study" / "cohorts").glob("*"))


def trials_of(root: Path) -> tuple[TrialRecord, ...]:
    return read_study(f"sqlite:///{root}/mlflow.db", "tiny").trials


@pytest.mark.parametrize("slots", [1, 3])
def test_joined_cohorts_are_full_as_long_as_trials_wait_and_nobody_idles_while_lanes_are_parked(tmp_path, slots):
    coordinator = open_coordinator(tmp_path, racing())
    floor = SimulatedWorkers(coordinator, slots, objective)
    floor.run()
    joined = [(len(given.living), waiting) for given, waiting in floor.given if given.sources]
    assert len(joined) > 3
    assert all(lanes >= 7 for lanes, waiting in joined if waiting)
    assert floor.idle == 0
    assert stored(tmp_path) == []
    assert coordinator.close(interrupted=False, timeout=60)
    trials = trials_of(tmp_path)
    assert {"complete", "pruned", "diverged"} == {trial.state for trial in trials}
    assert len(trials) == 48
    for trial in trials:
        steps = [rung.step for rung in trial.rungs]
        assert steps == [2, 4, 8][: len(steps)]
        assert floor.at[trial.spec.key] == max(steps, default=0), "trained no further than where it stopped"
        assert (steps[-1:] == [8]) == (trial.state == "complete")


def test_a_cohort_of_one_never_parks(tmp_path):
    coordinator = open_coordinator(tmp_path, racing(lanes=1))
    floor = SimulatedWorkers(coordinator, 2, objective)
    floor.run()
    assert not any(given.sources for given, _ in floor.given)
    assert len({given.cohort for given, _ in floor.given}) == len(floor.given) == len(floor.at)


def test_a_cohort_goes_on_as_it_is_where_nothing_could_fill_it(tmp_path):
    of = study(screen={"seeds": [0], "pruner": "none"}, resources={"cohort": 8})
    coordinator = open_coordinator(tmp_path, of)
    given = claimed(coordinator)
    assert coordinator.report(given.cohort, 1, reported(given, 5.0), FACTS, last=False) == given.living
    assert not coordinator.parts(given.cohort, 1, given.rungs[0])


def pairs() -> Study:
    """The baseline and one setting on three seeds, two lanes."""
    return study(
        space={"block": [0], "lambda": [0.1]},
        screen={"seeds": [0, 1, 2], "pruner": "race", "audit_fraction": 0},
        resources={"cohort": 2, "retries": 1},
    )


def part(coordinator: Coordinator, given: Assignment, stays: int) -> list[LaneReport]:
    """Report that all of a cohort's lanes but one diverged, and park that one."""
    news = [
        report.model_copy(update={"diverged": given.trials[stays].key != report.key})
        for report in reported(given, 10.0)
    ]
    assert len(coordinator.report(given.cohort, given.attempt, news, FACTS, last=False)) == 1
    assert coordinator.parts(given.cohort, given.attempt, given.rungs[0])
    coordinator.park(given.cohort, given.attempt, given.rungs[0])
    return news


def test_a_worker_of_a_parked_cohort_that_reports_again_is_turned_away(tmp_path):
    coordinator = open_coordinator(tmp_path, pairs())
    given = claimed(coordinator)
    news = part(coordinator, given, stays=0)
    with pytest.raises(StaleAttemptError):
        coordinator.report(given.cohort, given.attempt, news, FACTS, last=False)
    coordinator.failed(given.cohort, "a dying word", given.attempt)
    assert coordinator.begin(given.cohort) is None
    assert coordinator.progress().counts == {"running": 1, "diverged": 1, "waiting": 4}


def test_a_joined_cohort_whose_workers_keep_dying_fails_alone(tmp_path):
    coordinator = open_coordinator(tmp_path, pairs())
    for _ in range(2):
        part(coordinator, claimed(coordinator), stays=0)
    tried = []
    for _ in range(3):
        given = coordinator.next(0, coordinator.enter(0))
        assert given
        tried.append((given.cohort, given.attempt, len(given.sources)))
        coordinator.died(0)
    assert tried[1] == (tried[0][0], 2, 2)
    assert tried[2][1:] == (1, 0)
    assert coordinator.progress().counts == {"failed": 2, "diverged": 2, "running": 2}
    assert stored(tmp_path) == [tried[2][0]]


def test_a_parked_lane_is_not_trained_on_once_its_configuration_is_out(tmp_path):
    of = study(screen={"seeds": [0, 1, 2], "pruner": "race", "audit_fraction": 0}, resources={"cohort": 3})
    coordinator = open_coordinator(tmp_path, of)
    first, second = claimed(coordinator), claimed(coordinator)
    assert coordinator.report(first.cohort, 1, reported(first, 10.0), FACTS, last=False) == first.living
    assert not coordinator.parts(first.cohort, 1, first.rungs[0])
    part(coordinator, second, stays=2)
    behind = first.trials[2].key
    news = [
        report.model_copy(update={"rung": Rung(step=8, metrics={"fid_40": 1000.0 if report.key == behind else 10.0})})
        for report in reported(first, 0.0)
    ]
    coordinator.report(first.cohort, 1, news, FACTS, last=True)
    assert coordinator.progress().counts == {"complete": 3, "diverged": 2, "pruned": 2, "waiting": 2}
    assert stored(tmp_path) == []
    assert [trial.seed for trial in claimed(coordinator).trials] == [2, 2]


@pytest.mark.parametrize("of", ["joined", "fresh"])
def test_a_disk_that_fills_up_when_a_cohort_is_made_halts_the_study_and_loses_no_trial(tmp_path, monkeypatch, of):
    coordinator = open_coordinator(tmp_path, pairs())
    if of == "joined":
        for _ in range(2):
            part(coordinator, claimed(coordinator), stays=0)

    def fails(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(CohortFolder, "store", fails)
        assert coordinator.next(0, coordinator.enter(0)) is None
    assert coordinator.done()
    assert "No space left on device" in str(coordinator.halted())
    assert coordinator.close(interrupted=True, timeout=60)
    again = open_coordinator(tmp_path, pairs())
    SimulatedWorkers(again, 1, lambda *_: 10.0).run()
    assert again.progress().counts == ({"complete": 4, "diverged": 2} if of == "joined" else {"complete": 6})
    assert stored(tmp_path) == []
