"""`sweeper doctor` finds what would stop a study, and says what to do about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sweeper import cli
from sweeper.commands import doctor
from sweeper.commands.doctor import Finding, describe, examine
from sweeper.errors import SetupError
from sweeper.workspace import Workspace
from tests.integration.ledger.ledger_life import closed_port

ABOUT = (
    *("packages", "own code", "cores", "memory", "ports", "workspace", "temporary files", "shared memory", "folder"),
    *("compiler", "GPU", "search store", "MLflow"),
)


def findings(root: Path, address: str | None = None, **stores: str) -> dict[str, Finding]:
    return {found.about: found for found in examine(Workspace(root, **stores), address)}


def test_a_machine_that_runs_the_tests_has_no_problem_and_nothing_is_left_behind(tmp_path: Path) -> None:
    found = findings(tmp_path / "not" / "there")
    assert tuple(found) == ABOUT
    assert [one for one in found.values() if one.state == "problem"] == []
    assert [one for one in found.values() if one.state != "ok" and not one.remedy] == []
    assert list(tmp_path.iterdir()) == []


def test_stores_and_clusters_that_do_not_answer_are_problems_of_one_line(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{closed_port()}"
    store = f"postgresql://me:hunter2@{nobody}/x"
    found = findings(tmp_path, nobody, tracking=f"http://{nobody}", store=store)
    for about in ("search store", "MLflow", "Ray cluster"):
        assert found[about].state == "problem"
        assert nobody in found[about].says
        assert "\n" not in found[about].says
        assert found[about].remedy
        assert "hunter2" not in describe(found[about])


Break = Callable[[pytest.MonkeyPatch], None]


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))


def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "optuna":
            raise PackageNotFoundError(name)
        return "0.1"

    monkeypatch.setattr(doctor, "version", version)


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_memory_bytes", lambda: (4 * doctor.GIB, doctor.GIB))


def no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(doctor.socket, "create_server", refused)


def shadowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken() -> None:
        raise SetupError("/home/me/trainer.py is imported in the place of sweeper's own package 'trainer'", "rename it")

    monkeypatch.setattr(doctor, "check_own_code", taken)


def no_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise doctor.sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(doctor.sqlite3, "connect", fails)


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")


def card_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("broken", "about", "state", "says"),
    [
        (full, "workspace", "problem", "0.1 GiB free below"),
        (full, "temporary files", "problem", "0.1 GiB free below"),
        (full, "shared memory", "note", "0.1 GiB free"),
        (no_package, "packages", "problem", "optuna is missing"),
        (no_package, "packages", "problem", "ray 0.1 is installed, and >="),
        (no_memory, "memory", "problem", "1.0 of 4.0 GiB free"),
        (no_ports, "ports", "problem", "Operation not permitted"),
        (shadowed, "own code", "problem", "/home/me/trainer.py"),
        (no_databases, "folder", "problem", "disk I/O error"),
        (no_compiler, "compiler", "note", "slower code"),
        (card_without_torch, "GPU", "note", "cannot use it"),
    ],
)
def test_what_is_wrong_is_found_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, about: str, state: str, says: str
) -> None:
    broken(monkeypatch)
    found = findings(tmp_path)[about]
    assert found.state == state
    assert says in found.says
    assert found.remedy


def two_cards(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    """Stand in for a card that others use, and one that may be taken by a program alone."""

    def memory(number: int) -> tuple[int, int]:
        if taken and number == 1:
            raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
        return 60 * doctor.GIB, 80 * doctor.GIB

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    card = SimpleNamespace(name="H100", total_memory=80 * doctor.GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        (False, "H100, 20.0 of 80.0 GiB used; H100, 20.0 of 80.0 GiB used"),
        (True, "H100, 20.0 of 80.0 GiB used; H100, 80.0 GiB"),
    ],
)
def test_cards_are_named_with_what_is_used_of_their_memory(
    monkeypatch: pytest.MonkeyPatch, taken: bool, says: str
) -> None:
    two_cards(monkeypatch, taken)
    assert doctor._gpu() == Finding("GPU", "ok", says)


def test_a_check_that_fails_is_a_problem_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sweeper.search", None)
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: 1 / 0)
    found = findings(tmp_path)
    assert tuple(found) == ABOUT
    assert found["search store"].state == "problem"
    assert found["search store"].says.startswith("ModuleNotFoundError: ")
    assert found["temporary files"].says == "ZeroDivisionError: division by zero"
    assert found["MLflow"].state == "ok"


def test_a_container_has_the_memory_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"memory.max": ["1073741824"], "memory.current": ["73741824"], "meminfo": ["MemAvailable:  8388608 kB"]}
    monkeypatch.setattr(doctor, "_lines", lambda file: files.get(file.name, []))
    assert doctor._memory_bytes() == (2**30, 10**9)
    files |= {"memory.current": ["1073741824"], "memory.stat": ["anon 73741824", "inactive_file 1000000000"]}
    assert doctor._memory_bytes() == (2**30, 10**9)  # what was read from files is given back
    files["memory.max"] = ["max"]
    assert doctor._memory_bytes()[1] == 8 * 2**30


@pytest.mark.parametrize(("broken", "code"), [(lambda _: None, 0), (no_memory, 3)])
def test_the_exit_code_says_whether_a_study_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, broken: Break, code: int
) -> None:
    broken(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["sweeper", "doctor", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == code
        out = capsys.readouterr().out
        if options:
            assert [found["about"] for found in json.loads(out)] == list(ABOUT)
        else:
            assert out.startswith("ok       packages: python ")
