"""Passwords given by environment, URL, study or error: no file that is written and no line that is printed has one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from sweeper.errors import SetupError
from sweeper.ledger import Ledger
from sweeper.provenance import gather
from sweeper.text.passwords import masked
from tests.e2e.workplace import SWEEPER
from tests.places import SMOKE
from tests.sweeper.coordinator.coordinators import begun, claimed, open_coordinator, ready, study

__all__ = ["ready"]  # a fixture of every test here

ENVIRONMENT = {
    "MLFLOW_TRACKING_PASSWORD": "canary-01-tracking",
    "MLFLOW_TRACKING_TOKEN": "canary-02-bearer",
    "AWS_SECRET_ACCESS_KEY": "canary-03-bucket",
    "RAY_AUTH_TOKEN": "canary-04-ray",
    "SWEEPER_STORE": "postgresql://optuna:canary-05-store@127.0.0.1:1/optuna",
    "SWEEPER_TRACKING": "http://mlflow:canary-06-server@127.0.0.1:1",
}
STORE, TRACKING = "postgresql://me:canary-07@127.0.0.1:1/x", "http://canary-08@127.0.0.1:1"
ALL = [*ENVIRONMENT.values(), STORE, TRACKING, "canary-09-yaml", "canary-10-trace"]


@pytest.fixture(autouse=True)
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/nowhere")


def files_with_canaries(root: Path) -> Iterator[Path]:
    """Every file below that holds one, the databases' write-ahead logs included."""
    yield from (path for path in root.rglob("*") if path.is_file() and b"canary" in path.read_bytes())


def failure() -> str:
    """What a library says of a server it cannot reach, with everything it knows."""
    error = OperationalError(
        f"connect to {STORE}", {"password": "x"}, Exception(f"{TRACKING} password=canary-10-trace")
    )
    return f"{error} {ENVIRONMENT}"


def test_ten_canaries_are_ten() -> None:
    assert len({secret.partition("canary-")[2][:2] for secret in ALL}) == 10
    assert "canary" not in masked(" ".join([*ALL[:8], "token=canary-09-yaml", "password=canary-10-trace"]))


def test_a_failed_and_a_halted_trial_leave_none_in_logs_records_and_checkpoints(tmp_path: Path) -> None:
    coordinator = open_coordinator(tmp_path, study(resources={"cohort": 1}))
    first = claimed(coordinator)
    coordinator.failed(first.cohort, f"OperationalError: {failure()}", first.attempt, f"Traceback\n{failure()}")
    second = begun(coordinator, str(coordinator.claim()))
    coordinator.halt(second.cohort, SetupError(failure()), second.attempt)
    assert "connect to" in str(coordinator.halted())
    assert "canary" not in str(coordinator.halted())
    assert coordinator.close(interrupted=True, timeout=60)
    assert "connect to postgresql://me:***@127.0.0.1" in (tmp_path / "study" / "failures.log").read_text()
    assert list(files_with_canaries(tmp_path)) == []


def test_a_tracking_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    ledger = Ledger(ENVIRONMENT["SWEEPER_TRACKING"], None, tmp_path / "outbox.jsonl", "tiny")
    ledger.study_opened(study(), gather(masked(f"sweeper run x.yaml --store {STORE}")))
    while not ledger.trouble:
        assert not ledger.flush(0.2)
    ledger.close(timeout=0)
    assert "127.0.0.1" in ledger.trouble
    assert "canary" not in ledger.trouble
    assert list(files_with_canaries(tmp_path)) == []


@pytest.mark.parametrize(
    "command",
    [
        ["status", str(SMOKE)],
        ["status", str(SMOKE), "--store", STORE, "--tracking", TRACKING],
        ["status", str(SMOKE), "--store", STORE.replace("1/x", "port/x")],
        ["report", str(SMOKE), "--tracking", TRACKING],
        ["check", str(SMOKE), "--set", f"recipe.data.path={STORE}"],
        ["check", str(SMOKE), "--set", f"question={TRACKING.replace('canary', 'me:canary')}"],
    ],
)
def test_an_error_of_a_command_names_the_place_and_not_the_password(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*SWEEPER, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "canary" not in done.stdout + done.stderr
    assert list(files_with_canaries(tmp_path)) == []


def test_a_study_that_holds_a_password_is_refused_for_it_is_published(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(SMOKE.read_text().replace("Not tuned;", "See http://user:canary-09-yaml@host/x;"))
    done = subprocess.run([*SWEEPER, "check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file} contains a URL with a password, and a study is published")


FAULT = """
import logging, sys
from sweeper.cli.terminal import clean_errors, log_inertly
log_inertly()
logging.getLogger("a.library").warning(sys.argv[1])
with clean_errors():
    raise RuntimeError(sys.argv[1])
"""


def test_what_is_logged_and_the_traceback_of_a_fault_of_ours_hold_no_password() -> None:
    command = [sys.executable, "-P", "-c", FAULT, failure()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr
    assert done.stderr.count("me:***@127.0.0.1") >= 2
    assert "canary" not in done.stderr


def test_our_errors_hold_no_password_wherever_they_are_caught() -> None:
    error = SetupError(failure(), f"see {TRACKING}")
    assert "canary" not in f"{error} {error!r} {error.message} {error.remedy} {error.args}"
