"""A tracking server that does not answer is found out in seconds, whatever the way it is silent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sweeper.errors import UnavailableError
from sweeper.ledger import Ledger, owner_of
from sweeper.ledger.liveness import ensure_answers


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_mute_server_is_told_in_one_line_with_its_remedy(mute: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="does not answer: timed out") as refused:
        ensure_answers(mute, wait_s=0.3)
    assert time.monotonic() - begun < 2
    assert "--tracking" in refused.value.remedy
    assert len(refused.value.message.splitlines()) == 1


def test_a_port_that_nobody_listens_on_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnavailableError, match="refused"):
        owner_of(f"http://127.0.0.1:{port}", "any")


@pytest.mark.parametrize("login", ["", "me:password@", "me@"])
def test_a_server_that_says_anything_at_all_answers(login: str) -> None:
    class Unwilling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Unwilling)
    threading.Thread(target=server.handle_request, daemon=True).start()
    ensure_answers(f"http://{login}127.0.0.1:{server.server_port}/")
    server.server_close()
    ensure_answers("sqlite:////nowhere/at/all.db")  # is for those who open it


def test_what_stands_still_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.ledger.writer.TROUBLED_S", 0.5)
    ledger = Ledger("http://127.0.0.1:9", None, tmp_path / "outbox.jsonl", "study")
    ledger.artifact(tmp_path)
    begun = time.monotonic()
    assert not ledger.flush(60)
    assert time.monotonic() - begun < 5
    ledger.close(0)
