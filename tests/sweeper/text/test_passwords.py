"""Passwords given by environment, URL, study or error: no file that is written and no line that is printed has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError

from sweeper.coordinator.coordinator import Coordinator
from sweeper.errors import SetupError
from sweeper.ledger import Ledger
from sweeper.provenance import gather
from sweeper.text.passwords import masked
from tests.e2e.workplace import SWEEPER
from tests.places import SMOKE
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.commands.simulated_runs import Placement, placement, trained, written
from tests.sweeper.coordinator.coordinators import begun, claimed, open_coordinator, ready, study
from tests.sweeper.text.canaries import ALL, ENVIRONMENT, STORE, TRACKING, files_with_canaries

__all__ = ["placement", "ready", "run"]  # fixtures; `ready` of every test here


@pytest.fixture(autouse=True)
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/nowhere")


def fail_one_and_train(coordinator: Coordinator) -> None:
    """Fail the first cohort with everything a library knows, and train the others."""
    first = claimed(coordinator)
    coordinator.failed(first.cohort, f"OperationalError: {failure()}", first.attempt, f"Traceback\n{failure()}")
    trained(coordinator)


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


def test_a_run_leaves_none_in_its_guide_its_record_its_table_and_its_files(
    run: Run, placement: Placement, extractor_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWEEPER_STORE")
    monkeypatch.setattr("sweeper.ledger.writer.TROUBLED_S", 0.5)
    (tmp_path / ".sweeper").mkdir()
    (tmp_path / ".sweeper" / "cache").symlink_to(extractor_cache)
    of = study(space={"block": [0], "lambda": [0.1]}, keep="all", resources={"cohort": 1})
    file = written(of, tmp_path / "tiny.yaml")
    placement.workers = fail_one_and_train
    commands = (
        ["run", file, "--yes"],
        ["report", file, "--format", "latex"],
        ["status", file],
        ["export", file],
        ["export", file, "--format", "parquet", "--output", "table.parquet"],
    )
    for command in commands:
        ran = run(*command, "--tracking", TRACKING.replace("canary", "me:canary"))
        assert "Traceback" not in ran.err
        assert "canary" not in ran.out + ran.err
    guide = tmp_path / "reports" / "tiny"
    assert {"guide.md", "guide.html", "guide.json", "guide.tex", "record.json"} <= {
        path.name for path in guide.iterdir()
    }
    assert "connect to postgresql://me:***@127.0.0.1" in (guide / "record.json").read_text()
    assert "--tracking 'http://me:***@127.0.0.1:1'" in (guide / "guide.md").read_text()
    assert "connect to" in pd.read_parquet(tmp_path / "table.parquet").to_csv()
    assert "canary" not in pd.read_parquet(tmp_path / "table.parquet").to_csv()
    assert list((tmp_path / ".sweeper").rglob("*.safetensors"))
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
from sweeper.cli.error_messages import clean_errors
from sweeper.cli.terminal import log_inertly
with log_inertly(), clean_errors():
    logging.getLogger("a.library").warning(sys.argv[1])
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
