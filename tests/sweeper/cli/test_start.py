"""How the command line starts: as a module, without heavy imports, and which versions it names."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from tests.sweeper.cli.test_app import Run, run

__all__ = ["run"]  # a fixture, used by being here


def test_the_version_is_that_of_the_package_and_of_what_figures_depend_on(run: Run) -> None:
    found = run("--version")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(f"sweeper {version('dispersive-sweeper')} (python ")
    assert f"torch {torch.__version__}" in found.out


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    # In a folder with a module of ours' name, which `python -m` has first on its path.
    (tmp_path / "ray.py").write_text("raise SystemExit('the current folder was imported')\n")
    command = [sys.executable, "-m", "sweeper", "status", "nothing.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: nothing.yaml: no such file\n")


def test_help_imports_no_heavy_library() -> None:
    heavy = ["torch", "ray", "optuna", "mlflow", "pandas", "matplotlib", "pydantic"]
    code = f"import sweeper.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
