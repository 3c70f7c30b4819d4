"""Messages about a study: to a webhook that listens, to a command, and to nobody."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sweeper.commands import notify
from sweeper.commands.notify import Notifier, Stall, notifying
from sweeper.errors import SetupError, StudyError
from sweeper.records import Activity, Progress

Received = list[dict[str, str]]


class Hook:
    """A webhook's server: what it received, and the code it answers."""

    def __init__(self) -> None:
        hook, self.received, self.code = self, Received(), 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.received.append(json.loads(body))
                self.send_response(hook.code)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_command_does_not_see_the_passwords_of_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setenv("SWEEPER_STORE", "postgresql://me:canary@host/db")
    Notifier(f"env > '{tmp_path}/seen'", "mine", said.append).send("ended", "x")
    seen = (tmp_path / "seen").read_text()
    assert "SWEEPER_STUDY=mine" in seen
    assert "canary" not in seen


def test_a_webhook_gets_what_chats_read(hook: Hook, said: list[str]) -> None:
    Notifier(hook.url, "mine", said.append).send("ended", "No evidence.")
    assert hook.received == [{"text": "mine: No evidence.", "event": "ended", "study": "mine"}]
    assert said == []


def test_a_command_gets_the_words_and_finds_event_and_study(tmp_path: Path, said: list[str]) -> None:
    command = f'(cat; echo "$SWEEPER_EVENT $SWEEPER_STUDY") > "{tmp_path}/mail"'
    Notifier(command, "mine", said.append).send("stopped", "disk full; $(touch evil)")
    assert (tmp_path / "mail").read_text() == "mine: disk full; $(touch evil)\nstopped mine\n"
    assert said == []
    assert not Path("evil").exists()


def test_what_cannot_be_sent_is_said_without_the_secret_and_changes_nothing(hook: Hook, said: list[str]) -> None:
    hook.code = 403
    Notifier(hook.url, "mine", said.append).send("ended", "x")
    hook.server.server_close()
    for target in ("http://127.0.0.1:1/secret-hook", "exit 3"):
        Notifier(target, "mine", said.append).send("ended", "x")
    assert [line.partition(": ")[2].split(":")[0] for line in said[:3]] == [
        "the server answered 403",
        "the server cannot be reached",
        "the command ended with code 3",
    ]
    assert len(said) == 3
    assert "secret" not in "".join(said)


def test_a_slow_command_is_given_up(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(notify, "PATIENCE_S", 0.2)
    Notifier("exec sleep 30", "mine", said.append).send("ended", "x")
    assert said == ["nobody could be notified that the study ended: the command took more than 0 s"]


@pytest.mark.parametrize(
    "target", ["", "  ", "https://", "http:///path", "https://host:abc/secret", "https://[bad", "http://host/a secret"]
)
def test_a_target_that_is_neither_is_refused(target: str, said: list[str]) -> None:
    with pytest.raises(StudyError, match="neither a URL nor a command"):
        Notifier(target, "mine", said.append)


def test_an_answer_that_is_no_http_is_said_without_the_secret(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1000)
                line.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        Notifier(f"HTTP://127.0.0.1:{server.getsockname()[1]}/secret", "mine", said.append).send("ended", "x")
        thread.join()
    assert said == ["nobody could be notified that the study ended: BadStatusLine"]


def test_a_shell_does_not_repeat_what_it_cannot_run(said: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    Notifier("hooks.example/secret", "mine", said.append).send("ended", "x")
    assert said == ["nobody could be notified that the study ended: the command ended with code 127"]
    assert "secret" not in "".join(capfd.readouterr())


class Told(Notifier):
    def __init__(self) -> None:
        super().__init__("true", "mine", print)
        self.sent: list[tuple[str, str]] = []

    def send(self, event: notify.Happened, text: str) -> None:
        self.sent.append((event, text))


def at(step: int, complete: int = 0) -> Progress:
    worker = Activity(label="baseline", doing="training", step=step, until=100, trials=1)
    counts = {"complete": complete, "waiting": 3}
    return Progress.model_validate({"stage": "screen", "counts": counts, "activities": (worker,), "messages": ("hm",)})


def test_a_study_that_stands_still_is_told_once_and_again_after_it_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(notify.time, "monotonic", lambda: now[0])
    told = Told()
    stall = Stall(told, after_s=600)
    for minute, (step, complete) in enumerate([(1, 0)] * 15 + [(2, 0)] * 9 + [(2, 1)] * 15):
        now[0] = 60.0 * minute
        stall.seen(at(step, complete))
    assert told.sent == [("stalled", "nothing has happened for 10 minutes: hm")] * 2


def test_whatever_stops_a_run_is_told_and_raised() -> None:
    told = Told()
    with pytest.raises(SetupError), notifying(told, print):
        raise SetupError("the disk is full")
    with pytest.raises(KeyboardInterrupt), notifying(told, print):
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), notifying(told, print):
        raise ZeroDivisionError
    assert told.sent == [
        ("stopped", "the disk is full"),
        ("stopped", "it was interrupted"),
        ("stopped", "it ended with ZeroDivisionError"),
    ]
