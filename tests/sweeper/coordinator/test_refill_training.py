"""Cohorts that part and join at rungs and really train: the same figures as alone, whatever is killed when."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
import torch

from sweeper.coordinator.coordinator import Coordinator
from sweeper.planning.trials import screen_trials
from sweeper.records import Facts
from sweeper.study import Study
from sweeper.worker import cohort_run, lane_seconds
from sweeper.worker.messages import Assignment, LaneReport
from tests.sweeper.coordinator.coordinators import claimed, make_ready, open_coordinator, ready, study
from tests.sweeper.coordinator.test_refilled_coordinator import stored, trials_of
from trainer.runtime import checkpoint

__all__ = ["ready"]  # a fixture, used by being here


class CutError(Exception):
    pass


class Line:
    """A coordinator to which the last two lanes of four are always reported as diverged, and whose line may break.

    It breaks before the first report, after it, or when lanes are saved and to be parked.
    """

    def __init__(self, coordinator: Coordinator, breaks: str = "") -> None:
        self.started, self.beat, self.parts = coordinator.started, coordinator.beat, coordinator.parts
        self._coordinator, self._breaks = coordinator, breaks

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        if self._breaks == "before":
            raise CutError
        told = [
            report.model_copy(update={"diverged": "baseline" not in report.key and not report.key.startswith(ALIVE)})
            for report in reports
        ]
        survivors = self._coordinator.report(cohort, attempt, told, facts, last)
        if self._breaks == "after":
            raise CutError
        return survivors

    def park(self, cohort: str, attempt: int, step: int) -> None:
        if self._breaks == "parking":
            raise CutError
        self._coordinator.park(cohort, attempt, step)


def fours(lanes: int = 4) -> Study:
    return study(
        space={"block": [0, 1, "all"], "lambda": [0.1], "tau": [0.5]},
        screen={"seeds": [0, 1], "pruner": "none", "rungs": [0.25, 0.5, 1]},
        resources={"cohort": lanes},
    )


ALIVE = f"screen.{next(trial for trial in screen_trials(fours()) if trial.cell.dispersion.lam).cell.key}"


def train(coordinator: Coordinator, breaks: str = "") -> Assignment:
    """Really train the next cohort until it ends, parts or the line breaks."""
    given = claimed(coordinator)
    with contextlib.suppress(CutError):
        cohort_run.run(Line(coordinator, breaks), given)
    return given


def train_all(coordinator: Coordinator) -> None:
    while not coordinator.done():
        train(coordinator)
    assert coordinator.close(interrupted=False, timeout=60)


def figures(root: Path) -> dict[tuple[str, int], dict[str, float]]:
    return {
        (trial.spec.key, rung.step): {
            name: value for name, value in rung.metrics.items() if name.startswith(("fid", "train_loss", "val_loss"))
        }
        for trial in trials_of(root)
        for rung in trial.rungs
    }


@pytest.fixture(scope="module")
def alone(
    tables: Path, extractor_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], dict[str, float]]:
    """The figures of trials that each train alone."""
    root = tmp_path_factory.mktemp("alone")
    make_ready(root, tables, extractor_cache)
    train_all(open_coordinator(root, fours(lanes=1)))
    return figures(root)


def same(root: Path, expected: dict[tuple[str, int], dict[str, float]]) -> bool:
    found = figures(root)
    assert found.keys() == expected.keys()
    assert len(found) == 4 * 3 + 4  # four of eight lanes end at their first rung
    return all(found[at] == pytest.approx(expected[at], rel=1e-3) for at in found)


def test_joined_lanes_have_the_figures_of_trials_that_train_alone_and_the_seconds_add_up(tmp_path, alone, monkeypatch):
    looks = itertools.count()
    monkeypatch.setattr(lane_seconds, "time", SimpleNamespace(perf_counter=looks.__next__, process_time=lambda: 0))
    coordinator = open_coordinator(tmp_path, fours())
    sizes = [len(train(coordinator).living) for _ in range(3)]
    assert sizes == [4, 4, 4]
    train_all(coordinator)
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []
    last = [trial.rungs[-1].metrics for trial in trials_of(tmp_path)]
    assert sum(metrics["train_s"] + metrics["eval_s"] for metrics in last) == pytest.approx(next(looks) / 2)


@pytest.mark.parametrize("instant", ["judged", "parking", "parked", "joined", "saved", "reported"])
def test_a_kill_changes_no_figure_at_whatever_instant(tmp_path, alone, instant):
    coordinator = open_coordinator(tmp_path, fours())
    first = train(coordinator).cohort
    second = train(coordinator, breaks={"judged": "after", "parking": "parking"}.get(instant, "")).cohort
    parted = sorted([first, second])
    assert stored(tmp_path) == parted
    joined = claimed(coordinator).cohort if instant == "joined" else ""
    if instant in ("saved", "reported"):
        joined = train(coordinator, breaks={"saved": "before", "reported": "after"}[instant]).cohort
    assert stored(tmp_path) == ([joined] if instant == "reported" else sorted(filter(None, [*parted, joined])))
    assert coordinator.close(interrupted=True, timeout=60)

    again = open_coordinator(tmp_path, fours())
    if instant in ("judged", "parking"):
        assert train(again).cohort == second
    given = train(again)
    assert given.cohort == (joined or given.cohort)
    assert len(given.sources) == 2
    assert given.rungs == (4, 8)
    train_all(again)
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []


@pytest.mark.parametrize("harm", ["damaged", "missing", "unnamed"])
def test_a_source_that_cannot_be_read_costs_time_but_no_figure(tmp_path, alone, harm, caplog):
    coordinator = open_coordinator(tmp_path, fours())
    folder = tmp_path / "study" / "cohorts" / train(coordinator).cohort
    train(coordinator)
    if harm == "damaged":
        (folder / "parked.safetensors").write_bytes(b"\0" * 1000)
    else:
        (folder / {"missing": "parked.safetensors", "unnamed": "lanes.json"}[harm]).unlink()
    train_all(coordinator)
    assert caplog.text.count("training starts again from step 0") == 1
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []


def test_a_replaced_worker_that_saves_late_harms_no_parked_lane(tmp_path, alone, caplog):
    coordinator = open_coordinator(tmp_path, fours())
    parted = train(coordinator)
    Path(parted.checkpoint).write_bytes(b"an older state")
    train_all(coordinator)
    assert "starts again" not in caplog.text
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), OSError(errno.EIO, "I/O error")])
def test_a_machine_that_fails_while_lanes_are_read_is_not_taken_for_a_damaged_checkpoint(tmp_path, monkeypatch, error):
    coordinator = open_coordinator(tmp_path, fours())
    for _ in range(2):
        train(coordinator)

    def fails(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(checkpoint, "load", fails)
    with pytest.raises(type(error)):
        train(coordinator)


def test_a_study_left_by_the_version_before_goes_on(tmp_path):
    coordinator = open_coordinator(tmp_path, fours())
    given = claimed(coordinator)
    coordinator.close(interrupted=True, timeout=60)
    file = tmp_path / "study" / "cohorts" / given.cohort / "lanes.json"
    file.write_text(json.dumps(json.loads(file.read_text())["trials"]))
    again = claimed(open_coordinator(tmp_path, fours()))
    assert (again.cohort, again.trials, again.sources) == (given.cohort, given.trials, ())
