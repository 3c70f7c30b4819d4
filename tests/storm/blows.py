"""The blows of a storm: what is done to a running study, and how its run may end because of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

from tests.e2e.workplace import Workplace, children
from tests.storm.hosts import HEAD, PORT, Hosts, two_hosts
from tests.storm.servers import Mode, mlflow_line, postgres

Strike = Callable[[Workplace, subprocess.Popen[bytes], Random], bool]


@dataclass(frozen=True)
class Storm:
    """A kind of blow: `strike` returns whether it found what it strikes; `ends` are exit codes a run may have then.

    `options` are given to every run of the study; `store` and `tracking` are where it keeps its records, where that is
    not its workspace; with `small_disk` that has a disk of its own. `prefix` begins its command.
    """

    strike: Strike
    ends: frozenset[int] = frozenset()
    options: tuple[str, ...] = ()
    store: str | None = None
    tracking: str | None = None
    small_disk: bool = False
    prefix: tuple[str, ...] = ()


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

    return Storm(strike)


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


@contextlib.contextmanager
def _postgres(how: Literal["immediate", "fast"], shortest_s: float, longest_s: float) -> Iterator[Storm]:
    with postgres() as server:

        def strike(_: Workplace, __: subprocess.Popen[bytes], random: Random) -> bool:
            server.stop(how)
            time.sleep(random.uniform(shortest_s, longest_s))
            server.start()
            return True

        # A server that is away when a run begins is a fault of the environment.
        yield Storm(strike, frozenset({3}), store=server.url)


@contextlib.contextmanager
def _mlflow(mode: Mode) -> Iterator[Storm]:
    with tempfile.TemporaryDirectory(prefix="storm-mlflow-") as folder, mlflow_line(Path(folder)) as line:

        def strike(_: Workplace, __: subprocess.Popen[bytes], random: Random) -> bool:
            line.set_mode(mode)
            time.sleep(random.uniform(1, 25))
            line.set_mode("open")
            return True

        yield Storm(strike, tracking=f"http://127.0.0.1:{line.port}")


@contextlib.contextmanager
def _hosts(blow: Callable[[Hosts, Random], None]) -> Iterator[Storm]:
    with two_hosts() as hosts:

        def strike(_: Workplace, __: subprocess.Popen[bytes], random: Random) -> bool:
            blow(hosts, random)
            return True

        options = ("--address", f"{HEAD}:{PORT}", "--set", "resources.retries=1000")
        yield Storm(strike, options=options, prefix=hosts.prefix)


_ALONE: Mapping[str, Storm] = {
    "driver killed": _signal(signal.SIGKILL),
    "worker killed": _kill("ray::ImplicitFunc", set(), ("--set", "resources.retries=1000")),
    "coordinator killed": _kill("ray::Coordinator", {3}),
    "raylet killed": _kill("raylet/raylet", {3}),
    "gcs killed": _kill("gcs_server", {3}),
    "interrupt (SIGINT)": _signal(signal.SIGINT),
    "SIGTERM": _signal(signal.SIGTERM),
    "hang-up (SIGHUP)": _signal(signal.SIGHUP),
    "search store locked": _locked("optuna.db"),
    "tracking store locked": _locked("mlflow.db"),
    "disk full": Storm(_full, frozenset({3}), small_disk=True),
}


STORMS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Storm]]] = {
    **{kind: partial(contextlib.nullcontext, storm) for kind, storm in _ALONE.items()},
    "PostgreSQL restarted": partial(_postgres, "fast", 0.0, 3.0),
    "PostgreSQL killed, away": partial(_postgres, "immediate", 3.0, 40.0),
    "MLflow down": partial(_mlflow, "down"),
    "MLflow silent": partial(_mlflow, "silent"),
    "MLflow slow": partial(_mlflow, "slow"),
    "MLflow answers 500": partial(_mlflow, "500"),
    "MLflow answers 401": partial(_mlflow, "401"),
    "second host killed": partial(_hosts, lambda hosts, _: hosts.lose_other()),
    "network cut": partial(_hosts, lambda hosts, random: hosts.cut(random.uniform(1, 60))),
}


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int = 96) -> Iterator[None]:
    """Give a folder a disk of its own in memory; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
