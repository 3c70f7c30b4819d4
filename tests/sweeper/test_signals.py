"""Signals that arrive while something is imported, in a process of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = """
import os, signal, time
def struck():
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.2)
struck()
whole = True
"""
PROGRAM = """
import sys
from sweeper import signals
_ = 0  # turns of the loop, which a signal may come before
try:
    with signals.stoppable():
        {inner}
        import slow
        for _ in range(100):
            time.sleep(0.05)
        print("never asked to stop")
except signals.StoppedError as stop:
    print(stop.number, sys.modules["slow"].whole, _ < 10)
"""

# Imported only where it is used: it takes Ray along, which is seconds.
INTERRUPTS = "from sweeper.placement.interrupts import Interrupts"


def run(folder: Path, name: str, program: str) -> str:
    (folder / "slow.py").write_text(SLOW.format(name=name), encoding="utf-8")
    made = f"import time; import sys; sys.path.insert(0, {str(folder)!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", made], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("inner", ["pass", f"{INTERRUPTS}; Interrupts().install()"], ids=["a command", "a run"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_import_is_finished_before_a_signal_stops_the_command(name, inner, tmp_path):
    """Raised inside an import it can come out in C++, which ends the process by SIGABRT: torch's imports do that."""
    found = run(tmp_path, name, PROGRAM.format(inner=inner))
    assert found == f"{int(getattr(signal, name))} True True"


def test_a_signal_during_an_import_is_not_lost_when_another_handler_is_installed_meanwhile(tmp_path):
    program = PROGRAM.format(inner="pass").replace("import slow\n", "import slow; Interrupts().install()\n")
    assert run(tmp_path, "SIGINT", f"{INTERRUPTS}\n{program}") == f"{int(signal.SIGINT)} True True"


def test_a_signal_at_the_very_end_stops_it_too(tmp_path):
    program = PROGRAM.format(inner="pass").replace("        for _ in range(100):\n            time.sleep(0.05)\n", "")
    program = program.replace('        print("never asked to stop")\n', "").replace(", _ < 10", "")
    assert run(tmp_path, "SIGINT", program) == f"{int(signal.SIGINT)} True"


def test_a_signal_that_python_drops_in_a_callback_stops_the_command_all_the_same():
    """An exception in a finaliser, or in what is called after a fork, is printed and lost."""
    program = """
import os, signal, sys, time
from sweeper import signals
class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
_ = 0
try:
    with signals.stoppable():
        Finalised()
        for _ in range(100):
            time.sleep(0.05)
        print("never asked to stop")
except signals.StoppedError as stop:
    print(stop.number, _ < 10)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == (f"{int(signal.SIGTERM)} True", "")


def test_other_exceptions_in_finalisers_are_printed_as_ever():
    program = """
from sweeper import signals
class Finalised:
    def __del__(self):
        raise ValueError("of somebody else")
with signals.stoppable():
    Finalised()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "ValueError: of somebody else" in done.stderr


ENDING = """
import atexit, os, signal, sys, threading, time
from sweeper import signals
atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(0.1), print("swept up")))
threading.Thread(target=time.sleep, args=(60,)).start()
print("done", end=" ")
signals.end_process(7)
"""


def test_a_process_ends_with_its_own_code_though_a_signal_comes_and_a_thread_still_runs():
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (7, "done swept up", "")


def test_the_program_ends_with_the_exit_code_of_its_command():
    program = "from sweeper.cli import program; program()"
    for words, code in (("--help", 0), ("check nowhere.yaml", 2)):
        command = [sys.executable, "-P", "-c", program, *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)
        assert done.stdout or done.stderr


STRUCK = """
import os, signal, sys, time
from sweeper.cli import app, program
def strike(): os.kill(os.getpid(), {number}); time.sleep(20)
if {early}: app.check_own_code = strike
app.app.command("strike")(strike)
sys.argv = ["sweeper", "strike"]
program()
"""


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_is_stopped_with_the_code_of_its_signal_and_a_line(number, early):
    code = STRUCK.format(number=int(number), early=early)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")
