"""A study's command run and watched from outside: its processes, their memory and CPU time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

Look = TypeVar("Look")


class Watched(NamedTuple, Generic[Look]):
    """One run: seconds since 1970 at its start, its wall time, its exit code, and what was seen every so often."""

    launched: float
    wall_s: float
    exit_code: int
    looks: list[Look]


def run_study(
    file: Path,
    workspace: Path,
    reports: Path,
    look: Callable[[int], Look],
    every_s: float,
    environment: Mapping[str, str] | None = None,
) -> Watched[Look]:
    """Run `sweeper run` on a study in `workspace`; `look` is called with its process id every so many seconds."""
    command = [sys.executable, "-c", "from sweeper.cli import program; program()", "run", str(file), "--yes"]
    command += ["--workspace", str(workspace), "--reports", str(reports)]
    looks: list[Look] = []
    launched, begun = time.time(), time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as process:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(every_s):
                looks.append(look(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        wall = time.perf_counter() - begun
        stop.set()
        watcher.join()
    return Watched(launched, wall, code, looks)


def family(root: int) -> Iterator[int]:
    """Yield the ids of a process and of all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        yield pid
        found += children.get(pid, [])


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the process's state on; none for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def title(pid: int) -> str:
    """Return a process's command line, empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has had, 0 for one that is gone."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def memory_bytes(pid: int) -> int:
    """Return the proportional set size of a process, 0 for one that is gone."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
