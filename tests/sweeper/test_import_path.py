"""Files of a user's that have the names of our modules: passed over, or refused by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.workplace import SWEEPER, shadowed
from tests.places import SMOKE

STUDY = str(SMOKE)
ALL = f"import sweeper.import_path as own; own.keep_folder_out(); import ray, mlflow, optuna; {SWEEPER[-1]}"


def check(here: Path, path: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [*command, "check", STUDY], cwd=here, env=environment, capture_output=True, text=True, check=False
    )


def test_the_installed_command_runs_in_a_folder_with_such_files(tmp_path):
    installed = Path(sys.executable).with_name("sweeper")
    command = [str(installed)] if installed.exists() else SWEEPER
    assert check(shadowed(tmp_path), "", *command).stdout.endswith("smoke.yaml: ok\n")


@pytest.mark.parametrize("path", ["/nowhere:", ":/nowhere"])
def test_a_path_that_ends_in_a_colon_does_not_let_them_in(tmp_path, path):
    (shadowed(tmp_path) / "sweeper.py").unlink()  # found before any of our code runs
    done = check(tmp_path, path, *SWEEPER[:-1], ALL)
    assert done.stdout.endswith("smoke.yaml: ok\n"), done.stderr


def test_another_package_in_our_place_is_named_with_exit_3(tmp_path):
    other = tmp_path / "elsewhere" / "trainer"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    done = check(tmp_path, str(other.parent), *SWEEPER)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"error: {other}/__init__.py is imported instead of sweeper's own package 'trainer'",
        "  rename it, or take its folder off PYTHONPATH",
    ]
