"""`--json`: every command that reports something has it, and stdout then holds JSON alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sweeper.cli.app import app
from sweeper.commands.run_log import RunLog
from sweeper.commands.status import Status
from sweeper.commands.watch import Seen
from sweeper.records import Progress
from sweeper.text.as_json import to_json
from sweeper.workspace import Workspace
from tests.places import ROOT, SMOKE
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, written
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement", "run"]  # fixtures, used by being here

WITHOUT = {
    "init": "writes a file",
    "run": "prints the path of the guide, beside which guide.json lies",
    "retry": "prints the path of the guide, beside which guide.json lies",
    "report": "prints the path of the guide, beside which guide.json lies",
    "export": "writes a table, as CSV or parquet",
    "sample": "prints the path of the images",
    "measure": "prints JSON in any case",
    "schema": "prints JSON in any case",
    "encode": "prints lines to copy into a study's file",
    "slurm": "writes a script",
    "rm": "removes a study, and answers nothing",
    "ui": "is a server until it is stopped",
}


def read(run: Run, *arguments: object) -> Any:
    """Run a command that ends well, and read what it printed; a second document, or a line of text, is refused."""
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@pytest.fixture
def done(run: Run, placement: Placement, tmp_path: Path, tables: Path) -> Path:
    """A study that has run."""
    assert placement.runs == 0
    prepared(tmp_path / ".sweeper", tables)
    file = written(study(resources={"cohort": 1}), tmp_path / "tiny.yaml")
    assert run("run", file, "--yes").code == 0
    return file


def test_every_command_has_json_or_a_reason_not_to() -> None:
    commands = typer.main.get_group(app).commands
    having = {name for name, command in commands.items() if any("--json" in one.opts for one in command.params)}
    assert having | WITHOUT.keys() == commands.keys()
    assert not having & WITHOUT.keys()


def test_check_prints_sizes_and_data(run: Run) -> None:
    found = read(run, "check", SMOKE)
    assert (found["study"], found["plan"]["trials"], found["data"]["kind"]) == ("smoke", 6, "images")
    assert sum(found["data"]["classes"].values()) == found["data"]["total"] == 1797


def test_an_error_leaves_stdout_empty_and_the_exit_code_as_it_was(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SMOKE.read_text().replace("block: [1]", "block: [7]"))
    for command in ("check", "plan", "status", "watch", "logs"):
        ran = run(command, bad, "--json")
        assert (ran.code, ran.out) == (2, ""), command
        assert "bad.yaml:" in ran.err


def test_a_study_that_ran_is_reported_as_json(run: Run, done: Path) -> None:
    assert read(run, "status", done)["states"] == {"complete": 6}
    assert [one["study"] for one in read(run, "list")] == ["tiny"]
    watched = read(run, "watch", done)
    assert (watched["done"], watched["progress"]) == (True, None)
    log = read(run, "logs", done)
    assert log["failures"] is None
    assert log["lines"][0]["says"].startswith("began: sweeper run ")
    assert log["lines"][0]["at"][:2] == "20"
    assert run("logs", done).out.startswith("== run.log of tiny\n20")
    audited = run("audit", "seeds", done, "--json")
    assert (json.loads(audited.out)["gate"]["passed"] is True) == (audited.code == 0)


def test_watch_prints_what_a_run_shows() -> None:
    shown = Progress(stage="screen", counts={"running": 2}, lowest="block 1")
    found = json.loads(to_json(Seen(Status("s", False, {"running": 2}, {}, {}, runner="7"), shown)))
    assert (found["runner"], found["progress"]["lowest"]) == ("7", "block 1")


def test_watch_does_not_wait_for_a_run_to_end(run: Run, done: Path, tmp_path: Path) -> None:
    place = Workspace(tmp_path / ".sweeper")
    with place.lock("tiny"):
        RunLog(place.folder("tiny")).keep(Progress(stage="screen", counts={"running": 2}, lowest="block 1"))
        assert read(run, "watch", done)["progress"]["lowest"] == "block 1"


def test_doctor_prints_its_findings(run: Run) -> None:
    ran = run("doctor", "--json")
    found = {one["about"]: one["state"] for one in json.loads(ran.out)}
    assert {"packages", "memory", "GPU"} <= found.keys()
    assert ran.code == (3 if "problem" in found.values() else 0)


def test_two_guides_are_compared_as_json(run: Run) -> None:
    assert read(run, "compare", ROOT / "reports/block_temp", ROOT / "reports/null")["relation"]


def test_pages_of_many_studies_are_printed_with_their_paths(run: Run, tmp_path: Path) -> None:
    found = read(run, "atlas", ROOT / "reports/null", ROOT / "reports/control", "--out", tmp_path / "atlas")
    assert found["atlas"] == json.loads((tmp_path / "atlas/atlas.json").read_text())
    assert Path(found["page"]).is_file()
