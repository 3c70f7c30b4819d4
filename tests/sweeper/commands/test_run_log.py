"""The log of a run, the view of a run from elsewhere, and the command that prints the log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sweeper.commands import run_log as logging
from sweeper.commands.logs import logs
from sweeper.commands.run import run
from sweeper.commands.run_log import RunLog, last_progress, run_log
from sweeper.commands.watch import watch
from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import SetupError, StudyError
from sweeper.records import Progress
from sweeper.workspace import Workspace
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, simulated
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement"]  # a fixture, used by being here


@pytest.fixture
def place(tmp_path: Path, tables: Path) -> Workspace:
    return Workspace(prepared(tmp_path / "ws", tables))


def test_a_run_keeps_a_log_and_logs_prints_it(placement: Placement, place: Workspace) -> None:
    del placement
    of = study(resources={"cohort": 1})
    run(of, place, place.root / "reports", lambda _: None, "sweeper run tiny.yaml")
    lines = logs("tiny", place).describe().splitlines()
    assert lines[0] == "== run.log of tiny"
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines[1:])
    began, progress, ended = (line[21:] for line in lines[1:])
    assert (began, ended) == ("began: sweeper run tiny.yaml", "ended: no trial is left to run")
    assert progress.startswith("screen: 6/6 trials · lowest so far ")
    assert last_progress(place.folder("tiny")) is None


def test_a_run_that_stops_says_why_in_its_log_and_errors_of_trials_follow(
    placement: Placement, place: Workspace
) -> None:
    def disk_full(coordinator: Coordinator) -> None:
        given = coordinator.next(0, coordinator.enter(0))
        assert given
        coordinator.halting.write("baseline: boom", "Traceback: here")
        coordinator.halt(given.cohort, SetupError("the disk is full"), given.attempt)

    placement.workers = disk_full
    of = study(resources={"cohort": 1})
    with pytest.raises(SetupError, match="disk is full"):
        run(of, place, place.root / "reports", lambda _: None, "sweeper run tiny.yaml")
    text = logs("tiny", place).describe()
    assert "ended: the study was stopped: the disk is full" in text
    assert text.endswith("== failures.log of tiny\nbaseline: boom\nTraceback: here")
    placement.workers = simulated()
    run(of, place, place.root / "reports", lambda _: None, "sweeper run tiny.yaml")
    assert logs("tiny", place).describe().count("began: ") == 2


def test_a_study_without_a_log_is_refused(place: Workspace) -> None:
    with pytest.raises(StudyError, match="has no log"):
        logs("tiny", place).describe()


def test_passwords_and_control_characters_stay_out_of_the_log(tmp_path: Path) -> None:
    with run_log(tmp_path, "sweeper run a.yaml --store postgresql://me:secret@host/db") as log:
        log.note("two\nlines \x1b[31m")
    text = (tmp_path / "run.log").read_text()
    assert "secret" not in text
    assert "\x1b" not in text
    assert text.count("\n") == 3


def test_a_disk_that_is_full_loses_lines_and_no_run(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "missing")
    log.note("x")
    log.keep(Progress(stage="screen", counts={"running": 1}))
    log.end()


def test_watch_shows_what_the_running_process_shows_until_it_ends(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "EVERY_S", 0.0)
    shown: list[Progress] = []
    assert not watch("tiny", place, shown.append)
    assert shown == []
    seen = Progress(stage="screen", counts={"complete": 1, "running": 1})
    with place.lock("tiny"):
        (place.folder("tiny") / "study.json").write_text("{}")  # else the lock takes the folder away
        log = RunLog(place.folder("tiny"))
        log.keep(seen)
        runners = iter(["1", "1", "1", ""])
        monkeypatch.setattr(Workspace, "runner", lambda _self, _name: next(runners))
        monkeypatch.setattr("sweeper.commands.watch.POLL_S", 0.0)
        assert watch("tiny", place, shown.append)
    assert shown == [seen] * 3
    (place.folder("tiny") / "progress.json").write_text("{")
    assert last_progress(place.folder("tiny")) is None
