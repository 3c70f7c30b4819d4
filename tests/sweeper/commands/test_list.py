"""`sweeper list`, and a study given by its name: what a workspace knows without the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sweeper import cli
from sweeper.commands.list import describe, list_studies
from sweeper.commands.status import Driver
from sweeper.planning.trials import screen_trials
from sweeper.search import Search
from sweeper.study.registration import Registration
from sweeper.study.yaml_files import read_study
from sweeper.workspace import Workspace
from tests.places import STUDIES


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a study that is half done, one that only began, a damaged one and an empty folder."""
    place = Workspace(tmp_path / ".sweeper")
    for name, begun in (("first", "2026-01-01T00:00:00+00:00"), ("second", "2026-02-01T00:00:00+00:00")):
        study = read_study(STUDIES / "smoke.yaml", [f"name={name}"])
        with place.lock(name):
            place.register(Registration.of(study, place.root).model_copy(update={"begun": begun}))
    study = read_study(STUDIES / "smoke.yaml", ["name=first"])
    search = Search(place.store_url, study, "screen", screen_trials(study))
    search.claim(2)
    search.close()
    for name, content in (("broken", "no json"), ("empty", None)):
        place.folder(name).mkdir()
        if content:
            (place.folder(name) / "study.json").write_text(content)
    return place


def test_studies_are_listed_with_their_trials_the_last_begun_first(workspace: Workspace) -> None:
    found = list_studies(workspace)
    assert [study.name for study in found] == ["second", "first", "broken", "empty"]
    assert [study.counts.states if study.counts else None for study in found] == [
        {"waiting": 12},
        {"waiting": 12},
        None,
        None,
    ]
    assert "damaged" in found[2].trouble
    assert found[3].trouble == "nothing is registered of it"
    lines = describe(found, workspace).splitlines()
    assert len(lines) == 5
    assert lines[1].split("  ")[0] == "second"


def test_a_study_that_is_running_names_its_process(workspace: Workspace) -> None:
    with workspace.lock("second"):
        second = list_studies(workspace)[0]
    assert second.runner == str(os.getpid())
    assert second.cells()[1] == f"process {os.getpid()}"


def test_a_study_that_another_machine_runs_names_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Driver("node7", "/home/me/.sweeper/studies/first", 3.0)
    monkeypatch.setattr("sweeper.commands.status._elsewhere", lambda name, _: there if name == "first" else None)
    first = list_studies(workspace)[1]
    assert first.cells()[1:3] == ("on node7", "10 waiting, 2 running")  # what runs there does not wait
    assert first.as_json()["host"] == "node7"


def test_a_workspace_without_studies_says_so(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "none")
    assert describe(list_studies(place), place) == f"no study in {place.root}"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Workspace):
    monkeypatch.chdir(workspace.root.parent)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sweeper", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_the_list_is_printed_for_people_and_for_programs(run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert out.startswith("study   state     trials")
    found = json.loads(run("list", "--json")[1])
    assert {study["study"]: study.get("states") for study in found}["first"] == {"waiting": 12}


def test_a_study_is_given_by_its_name(run) -> None:
    code, out, _ = run("status", "first", "--json")
    assert code == 0
    assert json.loads(out)["study"] == "first"
    assert run("status", "first", "--set", "recipe.train.steps=3")[::2] == (
        2,
        "error: --set changes a study's file, and first is a study's name\n  give the file\n",
    )
    code, _, err = run("status", "third")
    assert code == 2
    assert err.startswith("error: third: no such file, nor a study of this name in .sweeper\n")


def test_a_name_may_have_a_dot(run, workspace: Workspace) -> None:
    study = read_study(STUDIES / "smoke.yaml", ["name=mine-lr-0.004"])
    with workspace.lock(study.name):
        workspace.register(Registration.of(study, workspace.root))
    assert json.loads(run("status", "mine-lr-0.004", "--json")[1])["study"] == "mine-lr-0.004"
    assert run("status", "mine.yaml")[2].startswith("error: mine.yaml: ")


def test_a_file_is_preferred_to_a_name(run) -> None:
    Path("first").write_text((STUDIES / "smoke.yaml").read_text())
    assert json.loads(run("status", "first", "--json")[1])["study"] == "smoke"
