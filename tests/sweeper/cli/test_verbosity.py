"""`-q` and `-v`: what goes to stderr with either, and that every command takes both."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from sweeper.cli.app import app
from sweeper.records import Progress
from sweeper.text import verbosity
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.cli.test_run_to_guide import a_failure, then
from tests.sweeper.commands.simulated_runs import Placement, placement, prepared, simulated, written
from tests.sweeper.coordinator.coordinators import study

__all__ = ["placement", "run"]  # fixtures, used by being here

GUIDE = "reports/tiny/guide.md\n"


@pytest.fixture
def file(tmp_path: Path, tables: Path) -> Path:
    prepared(tmp_path / ".sweeper", tables)
    return written(study(resources={"cohort": 1}), tmp_path / "tiny.yaml")


# A command during which everything speaks up that can. A process of its own, as pytest has handlers for logs.
SPEAKING = """
import logging, sys, warnings
from sweeper import cli
from sweeper.commands import schema

def schema_of(_):
    logging.getLogger("sweeper.somewhere").debug("a detail")
    logging.getLogger("trainer.somewhere").warning("ours")
    logging.getLogger("a.library").warning("see http://me:canary@host/ \\x1b[31m")
    logging.getLogger("a.library").info("chatter")
    warnings.warn("of python", UserWarning)
    return {}

schema.schema_of = schema_of
cli.main()
"""


def spoken(*options: str) -> str:
    """What that command prints to stderr."""
    command = [sys.executable, "-c", SPEAKING, "schema", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"
    return done.stderr


def test_every_command_takes_both() -> None:
    for name, command in typer.main.get_group(app).commands.items():
        options = [option for one in command.params for option in one.opts]
        assert {"-q", "-v"} <= set(options), name
        assert len(options) == len(set(options)), name


def test_a_quiet_run_prints_its_guides_path_and_nothing_else(run: Run, placement: Placement, file: Path) -> None:
    loud = run("run", file, "--yes")
    assert (loud.code, loud.out) == (0, GUIDE)
    assert "6 trials" in loud.err
    assert "all is done" in loud.err
    assert placement.runs == 1
    again = run("run", file, "--yes", "--quiet")
    assert (again.code, again.out, again.err) == (0, GUIDE, "")


def test_a_quiet_run_says_what_failed_and_what_runs_it_again(run: Run, placement: Placement, file: Path) -> None:
    placement.workers = then(a_failure)
    ran = run("run", file, "--yes", "-q")
    assert (ran.code, ran.out) == (1, GUIDE)
    assert ran.err.startswith("all is done: 5 complete, 1 failed\n")
    assert f"to run them again: sweeper retry {file} --yes -q\n" in ran.err
    placement.workers = simulated()
    again = run("retry", file, "--yes", "-q")
    assert (again.code, again.out, again.err) == (0, GUIDE, "")


def test_an_error_is_printed_to_whoever_is_quiet(run: Run) -> None:
    ran = run("run", "nowhere.yaml", "-q")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: nowhere.yaml: no such file")


def test_a_question_is_put_with_what_it_is_about(run: Run, placement: Placement, file: Path) -> None:
    assert placement.runs == 0
    assert run("run", file, "--yes", "-q").code == 0
    assert "tiny: 6 trials" in run("rm", file, "-q").err
    assert run("rm", file, "--yes", "-q").err == ""


def test_warnings_are_printed_details_with_v_alone_and_nothing_with_q() -> None:
    said = spoken()
    assert said.startswith("ours\nsee http://me:***@host/ \\x1b[31m\n")
    assert "UserWarning: of python" in said
    assert "a detail" not in said
    assert spoken("-q") == ""
    every = spoken("-v")
    for line in (
        " DEBUG sweeper.somewhere: a detail\n",
        " WARNING trainer.somewhere: ours\n",
        "UserWarning: of python",
    ):
        assert line in every
    assert " WARNING a.library: see http://me:***@host/ \\x1b[31m\n" in every
    assert "chatter" not in every


def test_a_librarys_own_handler_is_replaced_where_its_warnings_are_shown() -> None:
    library = logging.getLogger("a.library.of.its.own")
    library.addHandler(logging.NullHandler())
    try:
        verbosity.set_verbosity()
        verbosity.limit_library(library.name)
        assert (library.level, len(library.handlers)) == (logging.ERROR, 1)
        verbosity.set_verbosity(verbose=True)
        verbosity.limit_library(library.name)
        assert (library.level, library.handlers, library.propagate) == (logging.WARNING, [], True)
    finally:
        verbosity.forget_verbosity()


def test_both_together_are_wrong_usage(run: Run) -> None:
    ran = run("list", "-q", "-v")
    assert (ran.code, ran.out) == (2, "")
    assert "exclude each other" in ran.err


def test_a_quiet_display_takes_progress_and_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    from sweeper.cli.terminal import log_inertly, progress_display

    seen = Progress(stage="screen", counts={"running": 2})
    with log_inertly():
        for quiet in (True, False):
            verbosity.set_verbosity(quiet)
            with progress_display() as show:
                show(seen)
            assert ("screen: 0/2 trials" in capsys.readouterr().err) == (not quiet)
