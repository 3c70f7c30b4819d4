"""Paths that begin with ~: the user's home, quoted or not, and never a folder that is called so."""

import itertools
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest

from sweeper.cli import app as commands
from sweeper.cli.arguments import all_home, at_home
from tests.sweeper.cli.test_app import STUDY, run

__all__ = ["run"]  # a fixture, used by being here


def test_whatever_path_a_command_takes_its_home_is_looked_up():
    for command in commands.app.registered_commands:
        for name, kind in get_type_hints(command.callback, include_extras=True).items():
            if Path in (get_origin(kind), *get_args(kind), *itertools.chain(*map(get_args, get_args(kind)))):
                assert kind.__metadata__[0].callback in (at_home, all_home), f"{command.callback.__name__} {name}"


def test_a_quoted_home_is_the_home_and_not_a_folder_of_that_name(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert run("init", "~/mine.yaml").code == 0
    assert run("check", "~/mine.yaml").code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["home"]


def test_the_home_of_nobody_is_told_in_one_line_that_names_the_option_and_nothing_is_made(run, tmp_path):
    for option in ("--reports", "--workspace"):
        ran = run("run", STUDY, "--yes", option, "~nosuchuser/x")
        assert ran.code == 2
        assert ran.err.startswith(f"error: {option}: ~nosuchuser/x: ")
        assert ran.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        "recipe.data={name: npz, path: ~nosuchuser/x.npz}",
        "recipe.model.init=~nosuchuser/x.npz",
        "recipe.eval={extractor: clip, weights: ~nosuchuser/x.npz}",
    ],
)
def test_the_home_of_nobody_in_a_study_is_told_in_one_line(run, change):
    ran = run("check", STUDY, "--set", change)
    assert ran.code == 4
    assert "~nosuchuser/x.npz: ~nosuchuser is no user's home" in ran.err
    assert "Traceback" not in ran.err


def test_a_study_may_name_its_data_by_a_home(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "x.npz", x=np.zeros((16, 1, 8, 8), np.float32), y=np.arange(16) % 2)
    assert run("check", STUDY, "--set", "recipe.data={name: npz, path: ~/x.npz}").code == 0
