"""`status` says who runs a study, what waits, and where its file differs from the record."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from unittest.mock import ANY

from sweeper.cli import app as commands
from sweeper.cli.terminal import log_inertly
from sweeper.commands.status import Status, status_of
from sweeper.planning.trials import screen_trials
from sweeper.search import Search, driver_of
from sweeper.search.driver_lease import LASTS_S
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace
from tests.sweeper.guide.study_records import make_study

STUDY = make_study(space={"block": [0], "lambda": [0.1]}, confirm=None)


def test_a_study_that_nobody_runs_is_said_to_wait(tmp_path: Path) -> None:
    found = status_of(STUDY, Workspace(tmp_path / "w"))
    assert "6 waiting\nit was never run in this workspace" in found.describe()
    assert not (tmp_path / "w").exists()


def test_the_process_that_runs_a_study_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.lock(STUDY.name):
        found = status_of(STUDY, workspace)
    assert found.runner == str(os.getpid())
    assert f"process {os.getpid()} runs it" in found.describe()


def test_what_a_killed_run_left_running_waits(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    search = Search(workspace.store_url, STUDY, "screen", screen_trials(STUDY))
    assert len(search.claim(2)) == 2
    search.close()
    states = status_of(STUDY, workspace).states
    assert states == {"waiting": 6}


def test_the_driver_of_another_machine_is_named_as_its_lease_in_the_store_says(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "here", store=f"sqlite:///{tmp_path}/shared.db")
    search = Search(workspace.store_url, STUDY, "screen", screen_trials(STUDY))
    search.claim(2)
    lease = search.lease("node7", "/scratch/s")
    lease.acquire()
    found = status_of(STUDY, workspace)
    assert found.states == {"waiting": 4, "running": 2}
    assert "\na process on node7 runs it, in /scratch/s; last heard from 0 s ago" in found.describe()
    assert found.as_json()["elsewhere"] == {"host": "node7", "folder": "/scratch/s", "silent_s": ANY}
    lease.release()
    found = status_of(STUDY, workspace)
    assert "nobody runs it" in found.describe()
    assert found.states == {"waiting": 6}
    search.close()


def test_a_driver_that_died_is_not_named_in_its_own_workspace_and_elsewhere_until_its_lease_runs_out(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path / "here", store=f"sqlite:///{tmp_path}/shared.db")
    search = Search(workspace.store_url, STUDY, "screen", screen_trials(STUDY))
    search.lease(platform.node(), str(workspace.folder(STUDY.name))).acquire()
    assert status_of(STUDY, workspace).elsewhere is None
    assert status_of(STUDY, Workspace(tmp_path / "there", store=workspace.store_url)).elsewhere is not None
    now = time.time()
    assert driver_of(workspace.store_url, STUDY.name, now) is not None
    assert driver_of(workspace.store_url, STUDY.name, now + LASTS_S) is None
    search.close()


def test_a_done_study_says_nothing_of_who_runs_it() -> None:
    assert Status("s", True, {"complete": 6}, {}, {}).describe() == "s: done: 6 complete"


def test_where_the_file_differs_from_the_record_is_said(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    workspace = Workspace(tmp_path)
    other = make_study(space={"block": [0], "lambda": [0.2]}, confirm=None)
    (tmp_path / "studies" / STUDY.name).mkdir(parents=True)
    workspace.register(Registration.of(other, tmp_path))
    monkeypatch.setattr(commands, "study_of", lambda *_: STUDY)
    with log_inertly():
        commands.status(Path("mine.yaml"), workspace=tmp_path)
    told = capsys.readouterr().err
    assert told.startswith("mine.yaml differs from the record:\n")
    assert "space.lambda" in told
