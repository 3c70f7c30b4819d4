"""The outbox: nothing appended is lost, whatever moment the process dies at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sweeper.errors import ConflictError
from sweeper.ledger.outbox import Outbox


def drain(outbox: Outbox) -> list[str]:
    """Deliver everything and return it."""
    lines = []
    while entry := outbox.first(timeout=0):
        lines.append(entry.line.decode())
        outbox.delivered(entry)
    return lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "outbox.jsonl"


def test_lines_come_out_in_the_order_they_were_appended(path: Path) -> None:
    with Outbox(path) as outbox:
        for line in ("one", "zwei ü", "x" * 200_000, ""):
            outbox.append(line)
        assert drain(outbox) == ["one", "zwei ü", "x" * 200_000, ""]
        assert outbox.first(timeout=0) is None


def test_a_line_is_in_the_file_when_append_returns(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append("one")
        assert path.read_bytes() == b"one\n"


def test_what_was_not_delivered_is_there_for_the_next_process(path: Path) -> None:
    with Outbox(path) as outbox:
        for line in ("one", "two", "three"):
            outbox.append(line)
        entry = outbox.first(timeout=0)
        assert entry is not None
        outbox.delivered(entry)
    with Outbox(path) as outbox:
        assert drain(outbox) == ["two", "three"]
    with Outbox(path) as outbox:
        assert drain(outbox) == []
        assert outbox.wait_until_empty(timeout=0)


def test_a_line_not_marked_as_delivered_is_offered_again(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append("one")
        assert outbox.first(timeout=0) == outbox.first(timeout=0)


def test_a_torn_last_line_is_cut_and_the_next_one_stays_whole(path: Path) -> None:
    whole = ["first line", "second line", "third line"]
    log = "".join(line + "\n" for line in whole).encode()
    path.parent.mkdir(parents=True)
    for length in range(len(log) + 1):
        path.write_bytes(log[:length])
        path.with_name(path.name + ".mark").unlink(missing_ok=True)
        with Outbox(path) as outbox:
            outbox.append("after the crash")
            survived = log[:length].count(b"\n")
            assert drain(outbox) == [*whole[:survived], "after the crash"], f"torn at byte {length}"


def test_a_long_torn_line_is_cut_up_to_the_line_before(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\n" + b"x" * 300_000)
    with Outbox(path) as outbox:
        assert drain(outbox) == ["one"]


@pytest.mark.parametrize("mark", ["", "garbage", "-4", "999999", "2"], ids=repr)
def test_a_mark_that_does_not_fit_delivers_everything_again(path: Path, mark: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\ntwo\n")
    path.with_name(path.name + ".mark").write_text(mark)
    with Outbox(path) as outbox:
        assert drain(outbox) == ["one", "two"]


def test_a_line_set_aside_is_kept_with_its_reason_and_lets_the_rest_pass(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append('{"poison": 1}')
        outbox.append("good")
        entry = outbox.first(timeout=0)
        assert entry is not None
        outbox.set_aside(entry, "the store said no")
        assert drain(outbox) == ["good"]
        assert outbox.rejected == 1
    note = json.loads(path.with_name(path.name + ".rejected").read_text())
    assert note == {"reason": "the store said no", "line": '{"poison": 1}'}


def test_rewound_everything_is_delivered_again(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append("one")
        outbox.append("two")
        assert drain(outbox) == drain_again(outbox)


def drain_again(outbox: Outbox) -> list[str]:
    outbox.rewind()
    return drain(outbox)


def test_lines_of_many_threads_stay_whole(path: Path) -> None:
    with Outbox(path) as outbox:

        def write(name: int) -> None:
            for i in range(200):
                outbox.append(f"{name}:{i}:" + "x" * 500)

        threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heads = [line.rsplit(":", 1)[0] for line in drain(outbox)]
    assert sorted(heads) == sorted(f"{name}:{i}" for name in range(4) for i in range(200))
    for name in range(4):
        assert [head for head in heads if head.startswith(f"{name}:")] == [f"{name}:{i}" for i in range(200)]


def test_a_waiting_thread_is_told_at_once_of_a_new_line(path: Path) -> None:
    with Outbox(path) as outbox:
        timer = threading.Timer(0.05, outbox.append, args=("one",))
        timer.start()
        began = time.monotonic()
        entry = outbox.first(timeout=30)
        assert entry is not None
        assert time.monotonic() - began < 10
        timer.join()


def test_a_waiting_thread_can_be_sent_home(path: Path) -> None:
    with Outbox(path) as outbox:
        timer = threading.Timer(0.05, outbox.stop_waiting)
        timer.start()
        began = time.monotonic()
        assert outbox.first(timeout=30) is None
        assert time.monotonic() - began < 10
        timer.join()


def test_waiting_for_delivery_ends_at_its_time(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append("one")
        assert not outbox.wait_until_empty(timeout=0.01)


def test_a_full_disk_leaves_the_log_as_it_was(path: Path) -> None:
    """A process with a file size limit stands for the full disk: its write is cut short."""
    program = (
        "import pathlib, resource, sys\n"
        "from sweeper.ledger.outbox import Outbox\n"
        "outbox = Outbox(pathlib.Path(sys.argv[1]))\n"
        "outbox.append('one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    outbox.append('x' * 1000)\n"
        "except OSError:\n"
        "    outbox.append('two')\n"
        "else:\n"
        "    sys.exit('a line that does not fit was accepted')\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    with Outbox(path) as outbox:
        assert drain(outbox) == ["one", "two"]


def test_a_second_owner_is_refused_and_leaves_the_first_ones_log_alone(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.append("one")
        with path.open("ab") as torn:
            torn.write(b"half a li")  # what an append under way looks like
        with pytest.raises(ConflictError, match="still being written by another process") as caught:
            Outbox(path, wait_s=0.1)
        assert "run the same command again" in caught.value.remedy
        assert path.read_bytes() == b"one\nhalf a li"


def test_a_second_owner_waits_for_the_first_to_close(path: Path) -> None:
    first = Outbox(path)
    first.append("one")
    timer = threading.Timer(0.2, first.close)
    timer.start()
    with Outbox(path, wait_s=60) as second:
        assert not timer.is_alive() or timer.finished.is_set()
        assert drain(second) == ["one"]
    timer.join()


def test_a_killed_owner_owns_nothing(path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from sweeper.ledger.outbox import Outbox\n"
        "outbox = Outbox(pathlib.Path(sys.argv[1]))\n"
        "outbox.append('one')\n"
        "print('owned', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(ConflictError):
            Outbox(path)
        owner.kill()
    with Outbox(path) as outbox:
        assert drain(outbox) == ["one"]


def test_a_durable_line_is_on_the_disk_when_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    sync = os.fdatasync

    def watched(file: int) -> None:
        sync(file)
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", watched)
    with Outbox(path) as outbox:
        outbox.append("one")
        assert synced == []
        outbox.append("two", durable=True)
        assert synced == [b"one\ntwo\n"]
