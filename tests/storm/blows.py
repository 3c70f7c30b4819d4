"""The blows of a storm: what is done to a running study, and how its run may end because of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.e2e.workplace import Workplace, children

DONE = 0


@dataclass(frozen=True)
class Storm:
    """A kind of blow: `strike` returns whether it found what it strikes; `ends` are exit codes a run may have then.

    `options` are given to every run of the study.
    """

    strike: Callable[[Workplace, subprocess.Popen[bytes], Random], bool]
    ends: frozenset[int]
    options: tuple[str, ...] = ()


def _signal(number: signal.Signals) -> Storm:
    def strike(_: Workplace, run: subprocess.Popen[bytes], __: Random) -> bool:
        run.send_signal(number)
        return True

    return Storm(strike, frozenset({-number if number == signal.SIGKILL else 128 + number}))


def _kill(wanted: str, ends: set[int], options: tuple[str, ...] = ()) -> Storm:
    def strike(_: Workplace, run: subprocess.Popen[bytes], random: Random) -> bool:
        found = [pid for pid, title in children(run.pid) if wanted in title]
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(found), signal.SIGKILL)
        return True

    return Storm(strike, frozenset(ends), options)


def _locked(database: str) -> Storm:
    def strike(place: Workplace, _: subprocess.Popen[bytes], random: Random) -> bool:
        if not (place.root / database).exists():
            return False
        with contextlib.closing(sqlite3.connect(place.root / database, timeout=20, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return False
            time.sleep(random.uniform(1, 15))
            connection.execute("ROLLBACK")
        return True

    return Storm(strike, frozenset())


def _full(place: Workplace, _: subprocess.Popen[bytes], random: Random) -> bool:
    """Fill the workspace's disk, a small one of its own, for some seconds."""
    blocker = place.root / "blocker"
    try:
        with blocker.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        time.sleep(random.uniform(1, 15))
    finally:
        blocker.unlink(missing_ok=True)
    return True


STORMS: Mapping[str, Storm] = {
    "driver killed": _signal(signal.SIGKILL),
    "worker killed": _kill("ray::ImplicitFunc", set(), ("--set", "resources.retries=1000")),
    "desk killed": _kill("ray::Desk", {3}),
    "raylet killed": _kill("raylet/raylet", {3}),
    "gcs killed": _kill("gcs_server", {3}),
    "interrupt (SIGINT)": _signal(signal.SIGINT),
    "SIGTERM": _signal(signal.SIGTERM),
    "hang-up (SIGHUP)": _signal(signal.SIGHUP),
    "search store locked": _locked("optuna.db"),
    "tracking store locked": _locked("mlflow.db"),
    "disk full": Storm(_full, frozenset({3})),
}


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int = 96):  # type: ignore[no-untyped-def]
    """Give a folder a disk of its own in memory; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
