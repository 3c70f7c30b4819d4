"""A guide while its study runs: when one is written, by whom, and how it says that it is not the last."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sweeper.commands import preliminary
from sweeper.commands.preliminary import EVERY_S, PreliminaryGuide, preliminary_guide
from sweeper.records import Progress
from sweeper.workspace import Workspace
from tests.sweeper.guide.study_records import typical


class Writers:
    """Stands for processes that write guides: those that were started, and how the last one is."""

    def __init__(self, exitcode: int = 0) -> None:
        self.started, self.alive, self.exitcode = 0, False, exitcode

    def Process(self, **_: object) -> Writers:  # noqa: N802 - multiprocessing's name
        return self

    def start(self) -> None:
        self.started, self.alive = self.started + 1, True

    def is_alive(self) -> bool:
        return self.alive

    def terminate(self) -> None:
        self.alive = False

    def join(self, timeout: float) -> None:
        assert timeout
        assert not self.alive


@pytest.fixture
def writers(monkeypatch):
    found = Writers()
    monkeypatch.setattr(preliminary, "_SPAWN", found)
    return found


@pytest.fixture
def now(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(preliminary.time, "monotonic", lambda: clock[0])
    return clock


def at(complete: int, of: int, stage: str = "screen") -> Progress:
    return Progress(stage=stage, counts={"complete": complete, "waiting": of - complete})


def test_a_guide_is_due_at_each_third_and_when_trials_are_added(writers, now, tmp_path):
    guide = PreliminaryGuide("one", Workspace(tmp_path), tmp_path)
    begun = []
    for seen in (at(3, 12), at(4, 12), at(7, 12), at(8, 12), at(12, 12), at(12, 18, "confirm"), at(13, 18, "confirm")):
        now[0] += EVERY_S
        before = writers.started
        guide.seen(seen)
        begun.append(writers.started > before)
        writers.alive = False
    assert begun == [False, True, False, True, True, True, False]


def test_one_writer_at_a_time_and_none_in_the_first_minute(writers, now, tmp_path):
    guide = PreliminaryGuide("one", Workspace(tmp_path), tmp_path)
    now[0] = EVERY_S - 1
    guide.seen(at(6, 12))
    assert not writers.started
    now[0] += 1
    guide.seen(at(6, 12))
    now[0] += 10 * EVERY_S
    guide.seen(at(12, 12))
    assert writers.started == 1
    writers.alive = False
    guide.seen(at(12, 12))
    assert writers.started == 2


@pytest.mark.parametrize(("exitcode", "said"), [(0, True), (1, False)])
def test_people_hear_of_a_guide_that_was_written_and_of_no_other(writers, now, tmp_path, exitcode, said):
    writers.exitcode = exitcode
    guide = PreliminaryGuide("one", Workspace(tmp_path), tmp_path / "reports")
    now[0] = EVERY_S
    assert not guide.seen(at(6, 12)).messages
    writers.alive = False
    messages = guide.seen(at(6, 12)).messages
    assert messages == ((f"preliminary guide: {tmp_path / 'reports' / 'one' / 'guide.md'}",) if said else ())


def test_the_writer_is_gone_when_the_run_is(writers, now, tmp_path):
    with preliminary_guide("one", Workspace(tmp_path), tmp_path) as guide:
        now[0] = EVERY_S
        guide.seen(at(6, 12))
        assert writers.alive
    assert not writers.alive


def test_a_process_writes_the_guide_and_prints_nothing(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(preliminary, "EVERY_S", 0.0)
    record = typical()
    folder = tmp_path / "reports" / record.study.name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.model_dump_json(by_alias=True) + "\n")
    guide, until = (
        PreliminaryGuide(record.study.name, Workspace(tmp_path / "ws"), tmp_path / "reports"),
        time.time() + 90,
    )
    while not guide.seen(at(6, 12)).messages:
        assert time.time() < until
        time.sleep(0.1)
    assert (folder / "guide.md").exists()
    assert capfd.readouterr() == ("", "")


def test_a_writer_does_not_run_the_lines_of_the_program_that_started_it(tmp_path):
    # A user's script without `if __name__ == "__main__"` would start its study again.
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from sweeper.commands.preliminary import PreliminaryGuide\n"
        "from sweeper.workspace import Workspace\n"
        "open('ran', 'a').write('once ')\n"
        "writer = PreliminaryGuide('one', Workspace(Path('none')), Path('reports'))._started()\n"
        "writer.join()\n"
        "print(writer.exitcode)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")  # there is no record
    assert (tmp_path / "ran").read_text() == "once "


def test_a_writer_whose_driver_is_gone_writes_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("sweeper.commands.report.write", lambda *_: pytest.fail("written"))
    for name in ("nice", "dup2"):
        monkeypatch.setattr(preliminary.os, name, lambda *_: None)
    preliminary._write("one", Workspace(tmp_path), tmp_path, os.getpid())
