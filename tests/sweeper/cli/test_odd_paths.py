"""Paths that people have and nobody tests: a command works with them, or says in one line what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sweeper.cli.test_app import STUDY, Ran, Run, run
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, written
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement", "run"]  # fixtures, used by being here

NAMES = {
    "spaces": "my study  of it",
    "unicode": "Größe-λ-行-🙂",
    "quotes": 'it\'s "mine"',
    "200 characters": "x" * 200,
    "line break": "one\ntwo",
    "escape": "\x1b]0;pwn\x07",
    "dash": "-n",
}
named = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


def is_told(ran: Ran, code: int, says: str) -> bool:
    """Whether a mistake was told as it should be: its code, an error and a remedy, nothing for the terminal to obey."""
    quiet = ran.out == "" and "Traceback" not in ran.err and "\x1b" not in ran.err
    return quiet and ran.code == code and ran.err.startswith("error: ") and says in ran.err


@named
def test_a_study_is_found_whatever_its_file_is_called(run: Run, tmp_path: Path, name: str) -> None:
    shutil.copy(STUDY, tmp_path / f"{name}.yaml")
    ran = run("check", f"./{name}.yaml")
    assert ran.code == 0, ran.err
    assert "3 cells on 2 seeds = 6 trials" in ran.out
    assert "\x1b" not in ran.out


@named
def test_a_study_that_is_not_there_is_told_whatever_its_file_is_called(run: Run, name: str) -> None:
    for command in ("check", "plan", "run", "status", "report", "export"):
        assert is_told(run(command, f"./{name}.yaml"), 2, "no such file")


def test_a_name_longer_than_any_file_may_have_is_told(run: Run) -> None:
    assert is_told(run("check", "x" * 300), 2, "cannot be read: File name too long")


def test_a_folder_in_the_place_of_a_study_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").mkdir()
    for command in ("check", "plan", "run", "status", "report", "export"):
        ran = run(command, "study.yaml")
        assert is_told(ran, 2, "study.yaml: is a folder, not a study file")
        assert ran.err.count("\n") == 2


@pytest.mark.parametrize("option", ["--workspace", "--reports"])
def test_a_file_in_the_place_of_a_folder_is_told(run: Run, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    ran = run("run", STUDY, "--yes", option, "file")
    said, remedy = ran.err.splitlines()[-2:]
    assert (ran.code, ran.out, said.startswith("error: ")) == (3, "", True)
    assert "file" in said
    assert option in remedy


@pytest.mark.parametrize(
    "name", [NAMES["spaces"], NAMES["unicode"], NAMES["quotes"]], ids=["spaces", "unicode", "quotes"]
)
def test_a_study_runs_to_its_guide_in_a_workspace_of_any_name(
    run: Run, placement: Placement, tmp_path: Path, tables: Path, name: str
) -> None:
    file = written(study(), tmp_path / f"{name}.yaml")
    prepared(tmp_path / name, tables)
    ran = run("run", file, "--yes", "--workspace", name, "--reports", f"{name}/reports")
    assert (ran.code, ran.out) == (0, f"{name}/reports/tiny/guide.md\n")
    assert placement.runs == 1
    assert run("status", file, "--workspace", name).out.startswith("tiny: done: 6 complete")
