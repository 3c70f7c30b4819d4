"""optuna-dashboard over a search: on this machine alone, for looking alone, and a remedy where it is missing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SetupError
from sweeper.search import Search
from sweeper.search.dashboard import for_looking, serve_dashboard
from tests.e2e.workplace import SWEEPER
from tests.integration.ledger.ledger_life import closed_port
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.search.search_specs import study, trials

__all__ = ["run"]  # a fixture, used by being here


def answer(method: str, host: str) -> str:
    """What a guarded application answers, on port 8080."""
    said: list[str] = []

    def app(_: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [])
        return [b"shown"]

    environ = {"REQUEST_METHOD": method, "HTTP_HOST": host}
    body = b"".join(for_looking(app, 8080)(environ, lambda status, _headers: said.append(status)))
    assert (said[0] == "200 OK") == (body == b"shown")
    return said[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_that_changes_a_store_gets_through(method: str) -> None:
    assert answer(method, "127.0.0.1:8080") == "403 Forbidden"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", "200 OK"),
        ("localhost:8080", "200 OK"),
        ("elsewhere.example:8080", "403 Forbidden"),
        ("127.0.0.1:8081", "403 Forbidden"),
        ("", "403 Forbidden"),
    ],
)
def test_only_this_machines_own_name_is_answered(host: str, status: str) -> None:
    assert answer("GET", host) == status


def test_without_the_package_there_is_one_line_with_the_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    ran = run("ui", "--optuna")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "error: optuna-dashboard is not installed\n  install it: .venv/bin/pip install -e '.[dashboard]'\n"
    )


def test_without_a_search_or_with_the_port_taken_it_says_so(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="an extra: pip install -e '.[dashboard]'")
    url = f"sqlite:///{tmp_path}/optuna.db"
    with pytest.raises(SetupError, match="no search store yet"):
        serve_dashboard(url, 8080, lambda: None)
    Search(url, study(), "screen", trials()).close()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SetupError, match="is not free"):
        serve_dashboard(url, taken.getsockname()[1], lambda: None)


def test_the_dashboard_shows_a_search_and_its_note_until_it_is_stopped(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="an extra: pip install -e '.[dashboard]'")
    Search(f"sqlite:///{tmp_path}/optuna.db", study(), "screen", trials()).close()
    port = closed_port()
    command = [*SWEEPER, "ui", "--optuna", "--workspace", str(tmp_path), "--port", str(port)]
    server = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        assert server.stderr.readline().startswith(f"optuna-dashboard answers on http://127.0.0.1:{port}, ")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies/1?after=0", timeout=30) as reply:
            found = json.loads(reply.read())
        assert found["name"] == "tiny.screen"
        assert len(found["trials"]) == len(trials())
        assert "Screen, no claim" in found["note"]["body"]
        gone = urllib.request.Request(f"http://127.0.0.1:{port}/api/studies/1", method="DELETE")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(gone, timeout=30)
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0
    assert server.stderr.read() == ""
