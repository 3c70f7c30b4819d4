"""Cohorts that part and join at rungs: full as long as trials wait, the same figures, whatever is killed when."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeper import lane_seconds, worker
from sweeper.desk import Desk
from sweeper.errors import StaleAttemptError
from sweeper.ledger import read_study
from sweeper.plan import screen_trials
from sweeper.records import Assignment, Facts, LaneReport, Rung, TrialRecord, TrialSpec
from sweeper.study import Study
from tests.conftest import copy_database
from tests.sweeper.floor import Floor
from tests.sweeper.test_desk import FACTS, claimed, open_desk, ready_tables, reported, study

__all__ = ["ready_tables"]  # a fixture, used by being here


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
    desk = open_desk(tmp_path, racing())
    floor = Floor(desk, slots, objective)
    floor.run()
    joined = [(len(given.living), waiting) for given, waiting in floor.given if given.sources]
    assert len(joined) > 3
    assert all(lanes >= 7 for lanes, waiting in joined if waiting)
    assert floor.idle == 0
    assert stored(tmp_path) == []
    assert desk.close(interrupted=False, timeout=60)
    trials = trials_of(tmp_path)
    assert {"complete", "pruned", "diverged"} == {trial.state for trial in trials}
    assert len(trials) == 48
    for trial in trials:
        steps = [rung.step for rung in trial.rungs]
        assert steps == [2, 4, 8][: len(steps)]
        assert floor.at[trial.spec.key] == max(steps, default=0), "trained no further than where it stopped"
        assert (steps[-1:] == [8]) == (trial.state == "complete")


def test_a_cohort_of_one_never_parks(tmp_path):
    desk = open_desk(tmp_path, racing(lanes=1))
    floor = Floor(desk, 2, objective)
    floor.run()
    assert not any(given.sources for given, _ in floor.given)
    assert len({given.cohort for given, _ in floor.given}) == len(floor.given) == len(floor.at)


def test_a_cohort_goes_on_as_it_is_where_nothing_could_fill_it(tmp_path):
    of = study(screen={"seeds": [0], "pruner": "none"}, resources={"cohort": 8})
    desk = open_desk(tmp_path, of)
    given = claimed(desk)
    assert desk.report(given.cohort, 1, reported(given, 5.0), FACTS, last=False) == given.living


def pairs() -> Study:
    """The baseline and one setting on three seeds, two lanes."""
    return study(
        space={"block": [0], "lambda": [0.1]},
        screen={"seeds": [0, 1, 2], "pruner": "race", "audit_fraction": 0},
        resources={"cohort": 2, "retries": 1},
    )


def part(desk: Desk, given: Assignment, stays: int) -> list[LaneReport]:
    """Report that all of a cohort's lanes but one diverged, so that it is parked."""
    news = [
        report.model_copy(update={"diverged": given.trials[stays].key != report.key})
        for report in reported(given, 10.0)
    ]
    assert desk.report(given.cohort, given.attempt, news, FACTS, last=False) == frozenset()
    return news


def test_a_worker_of_a_parked_cohort_that_reports_again_is_turned_away(tmp_path):
    desk = open_desk(tmp_path, pairs())
    given = claimed(desk)
    news = part(desk, given, stays=0)
    with pytest.raises(StaleAttemptError):
        desk.report(given.cohort, given.attempt, news, FACTS, last=False)
    desk.failed(given.cohort, "a dying word", given.attempt)
    assert desk.begin(given.cohort) is None
    assert desk.progress().counts == {"running": 1, "diverged": 1, "waiting": 4}


def test_a_joined_cohort_whose_workers_keep_dying_fails_alone(tmp_path):
    desk = open_desk(tmp_path, pairs())
    for _ in range(2):
        part(desk, claimed(desk), stays=0)
    tried = []
    for _ in range(3):
        given = desk.next(0, desk.enter(0))
        assert given
        tried.append((given.cohort, given.attempt, len(given.sources)))
        desk.died(0)
    assert tried[1] == (tried[0][0], 2, 2)
    assert tried[2][1:] == (1, 0)
    assert desk.progress().counts == {"failed": 2, "diverged": 2, "running": 2}
    assert stored(tmp_path) == [tried[2][0]]


def test_a_parked_lane_is_not_trained_on_once_its_configuration_is_out(tmp_path):
    of = study(screen={"seeds": [0, 1, 2], "pruner": "race", "audit_fraction": 0}, resources={"cohort": 3})
    desk = open_desk(tmp_path, of)
    first, second = claimed(desk), claimed(desk)
    assert desk.report(first.cohort, 1, reported(first, 10.0), FACTS, last=False) == first.living
    part(desk, second, stays=2)
    behind = first.trials[2].key
    news = [
        report.model_copy(update={"rung": Rung(step=8, metrics={"fid_40": 1000.0 if report.key == behind else 10.0})})
        for report in reported(first, 0.0)
    ]
    desk.report(first.cohort, 1, news, FACTS, last=True)
    assert desk.progress().counts == {"complete": 3, "diverged": 2, "pruned": 2, "waiting": 2}
    assert stored(tmp_path) == []
    assert [trial.seed for trial in claimed(desk).trials] == [2, 2]


class CutError(Exception):
    pass


class Line:
    """A desk to which the last two lanes of four are always reported as diverged, and whose line may break."""

    def __init__(self, desk: Desk, breaks: str = "") -> None:
        self.started, self._desk, self._breaks = desk.started, desk, breaks

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        if self._breaks == "before":
            raise CutError
        told = [
            report.model_copy(update={"diverged": "baseline" not in report.key and not report.key.startswith(ALIVE)})
            for report in reports
        ]
        survivors = self._desk.report(cohort, attempt, told, facts, last)
        if self._breaks == "after":
            raise CutError
        return survivors


def fours(lanes: int = 4) -> Study:
    return study(
        space={"block": [0, 1, "all"], "lambda": [0.1], "tau": [0.5]},
        screen={"seeds": [0, 1], "pruner": "none", "rungs": [0.25, 0.5, 1]},
        resources={"cohort": lanes},
    )


ALIVE = f"screen.{next(trial for trial in screen_trials(fours()) if trial.cell.dispersion.lam).cell.key}"


def train(desk: Desk, breaks: str = "") -> Assignment:
    """Really train the next cohort until it ends, parts or the line breaks."""
    given = claimed(desk)
    with contextlib.suppress(CutError):
        worker.run(Line(desk, breaks), given)
    return given


def train_all(desk: Desk) -> None:
    while not desk.done():
        train(desk)
    assert desk.close(interrupted=False, timeout=60)


def figures(root: Path) -> dict[tuple[str, int], dict[str, float]]:
    return {
        (trial.spec.key, rung.step): {
            name: value for name, value in rung.metrics.items() if name.startswith(("fid", "train_loss", "val_loss"))
        }
        for trial in trials_of(root)
        for rung in trial.rungs
    }


@pytest.fixture(scope="module")
def alone(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], dict[str, float]]:
    """The figures of trials that each train alone."""
    root = tmp_path_factory.mktemp("alone")
    copy_database(tables, root / "mlflow.db")
    train_all(open_desk(root, fours(lanes=1)))
    return figures(root)


def same(root: Path, expected: dict[tuple[str, int], dict[str, float]]) -> bool:
    found = figures(root)
    assert found.keys() == expected.keys()
    assert len(found) == 4 * 3 + 4  # four of eight lanes end at their first rung
    return all(found[at] == pytest.approx(expected[at], rel=1e-3) for at in found)


def test_joined_lanes_have_the_figures_of_trials_that_train_alone_and_the_seconds_add_up(tmp_path, alone, monkeypatch):
    looks = itertools.count()
    monkeypatch.setattr(lane_seconds, "time", SimpleNamespace(perf_counter=looks.__next__, process_time=lambda: 0))
    desk = open_desk(tmp_path, fours())
    sizes = [len(train(desk).living) for _ in range(3)]
    assert sizes == [4, 4, 4]
    train_all(desk)
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []
    last = [trial.rungs[-1].metrics for trial in trials_of(tmp_path)]
    assert sum(metrics["train_s"] + metrics["eval_s"] for metrics in last) == pytest.approx(next(looks) / 2)


@pytest.mark.parametrize("instant", ["parked", "joined", "saved", "reported"])
def test_a_kill_changes_no_figure_at_whatever_instant(tmp_path, alone, instant):
    desk = open_desk(tmp_path, fours())
    parted = sorted(train(desk).cohort for _ in range(2))
    assert stored(tmp_path) == parted
    joined = claimed(desk).cohort if instant == "joined" else ""
    if instant in ("saved", "reported"):
        joined = train(desk, breaks={"saved": "before", "reported": "after"}[instant]).cohort
    assert stored(tmp_path) == ([joined] if instant == "reported" else sorted(filter(None, [*parted, joined])))
    assert desk.close(interrupted=True, timeout=60)

    again = open_desk(tmp_path, fours())
    given = train(again)
    assert given.cohort == (joined or given.cohort)
    assert len(given.sources) == 2
    assert given.rungs == (4, 8)
    train_all(again)
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []


@pytest.mark.parametrize("harm", ["damaged", "missing", "unnamed"])
def test_a_source_that_cannot_be_read_costs_time_but_no_figure(tmp_path, alone, harm, caplog):
    desk = open_desk(tmp_path, fours())
    folder = tmp_path / "study" / "cohorts" / train(desk).cohort
    train(desk)
    if harm == "damaged":
        (folder / "checkpoint.safetensors").write_bytes(b"\0" * 1000)
    else:
        (folder / {"missing": "checkpoint.safetensors", "unnamed": "lanes.json"}[harm]).unlink()
    train_all(desk)
    assert caplog.text.count("training starts again from step 0") == 1
    assert same(tmp_path, alone)
    assert stored(tmp_path) == []


def test_a_study_left_by_the_version_before_goes_on(tmp_path):
    desk = open_desk(tmp_path, fours())
    given = claimed(desk)
    desk.close(interrupted=True, timeout=60)
    file = tmp_path / "study" / "cohorts" / given.cohort / "lanes.json"
    file.write_text(json.dumps(json.loads(file.read_text())["trials"]))
    again = claimed(open_desk(tmp_path, fours()))
    assert (again.cohort, again.trials, again.sources) == (given.cohort, given.trials, ())
