"""`make setup` installs the torch that was asked for; what it would run is looked at, and nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make setup` looks at, without an environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = ("TORCH", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    command = ["make", "-n", *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def torch_line(checkout: Path, *words: str) -> str:
    """Return what pip would be told of torch; empty where nothing would be installed."""
    done = make(checkout, "setup", *words)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if "torch=" in line]
    assert len(found) <= 1
    return found[0].partition("--no-compile ")[2] if found else ""


def installed(checkout: Path, which: str) -> None:
    stamp = checkout / ".venv" / ".installed"
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(which)


def test_by_default_and_for_cpus_it_is_any_build_of_the_pinned_version(checkout: Path) -> None:
    assert torch_line(checkout) == torch_line(checkout, "TORCH=cpu") == "--upgrade torch==2.13.0  -c constraints.txt"


def test_for_a_card_it_is_the_registrys_own_build_and_no_other(checkout: Path) -> None:
    assert torch_line(checkout, "TORCH=cu130") == "torch===2.13.0  -c constraints.txt"


def test_an_index_is_the_users_and_none_is_written_here(checkout: Path) -> None:
    assert "--index-url 'ADDRESS'" in torch_line(checkout, "TORCH_INDEX=ADDRESS")
    assert "://" not in (checkout / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", ["rocm", "cpu cu130", "", "cu130x"])
def test_an_unknown_torch_is_refused_in_one_line(checkout: Path, given: str) -> None:
    done = make(checkout, "setup", f"TORCH={given}")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"*** TORCH is cpu or cu130, not '{given}'.  Stop.")


@pytest.mark.parametrize(("before", "given"), [("cpu\n", "cu130"), ("cu130\n", "cpu"), ("", "cu130")])
def test_another_torch_is_installed_where_it_is_asked_for_and_kept_where_not(
    checkout: Path, before: str, given: str
) -> None:
    installed(checkout, before)
    assert torch_line(checkout) == ""
    assert "torch=" in torch_line(checkout, f"TORCH={given}")
    installed(checkout, f"{given}\n")
    assert torch_line(checkout, f"TORCH={given}") == torch_line(checkout) == ""


def test_the_version_is_the_one_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (pinned,) = (line for line in lines if line.startswith("torch=="))
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"TORCH_cpu := --upgrade {pinned}\n" in text
    assert f"TORCH_cu130 := {pinned.replace('==', '===')}\n" in text
