"""Where figures come from: sweeper's own commit, the project's under its own name, the command as typed."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from sweeper import provenance
from sweeper.provenance import command_line, gather


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's project in git, with an environment that git does not see, and the folder commands are typed in."""
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(".venv/\n")
    (tmp_path / "mine.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sweeper_installed_into_a_project_does_not_take_its_commit_for_its_own(project, monkeypatch):
    installed = project / ".venv" / "sweeper" / "provenance.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(installed))
    found = gather("sweeper run x.yaml")
    assert (found.commit, found.dirty) == ("unknown", False)
    assert found.project_commit == git(project, "rev-parse", "HEAD")


def test_a_project_with_changes_is_said_to_have_them(project):
    (project / "mine.py").write_text("x = 2\n")
    assert gather("x").project_commit == git(project, "rev-parse", "HEAD") + "+"


def test_sweepers_own_checkout_is_named_and_a_folder_outside_git_is_not(project, monkeypatch):
    own = project / "sweeper.py"
    own.write_text("")
    git(project, "add", "sweeper.py")
    git(project, "commit", "-q", "-m", "sweeper")
    monkeypatch.setattr(provenance, "__file__", str(own))
    outside = project.parent / f"{project.name}-outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    found = gather("x")
    assert found.commit == git(project, "rev-parse", "HEAD")
    assert (found.dirty, found.project_commit) == (False, "")
    own.write_text("changed")
    assert gather("x").dirty


def test_the_command_is_what_was_typed_without_passwords():
    typed = ["run", "my study.yaml", "--set", "a.b=c", "--workspace", "w", "--store", "postgresql://me:pass@host/d"]
    shown = "sweeper run 'my study.yaml' --set a.b=c --workspace w --store 'postgresql://me:***@host/d'"
    assert command_line(typed) == shown


def test_every_package_that_figures_depend_on_is_named_with_its_version():
    found = gather("x").versions
    assert found.keys() == {"python", "sweeper", *provenance.PACKAGES}
    assert found["sweeper"] == version(provenance.DISTRIBUTION)
    assert {name: found[name] for name in provenance.PACKAGES} == {name: version(name) for name in provenance.PACKAGES}
    assert all(re.match(r"\d+\.\d+", number) for number in found.values())
