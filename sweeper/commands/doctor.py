"""`sweeper doctor`: is this machine ready for a study, and what to do where it is not."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from sweeper.errors import SetupError, StudyError, SweeperError
from sweeper.import_path import check_own_code
from sweeper.provenance import DISTRIBUTION, usable_cores, versions
from sweeper.text.numbers import memory_use
from sweeper.text.passwords import masked
from sweeper.workspace import Workspace

State = Literal["ok", "note", "problem"]
NOBODY = "doctor"  # a study that no store has
GIB = 2**30
LEAST_DISK = 1 * GIB  # of a small study: stores, caches, checkpoints
LEAST_MEMORY = 2 * GIB  # a driver with Ray, and two workers with torch
LEAST_SHARED = GIB // 4  # what Ray's object store falls back from, to files in the temporary folder


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do about it where it is a problem or worth a note."""

    about: str
    state: State
    says: str
    remedy: str = ""


def examine(workspace: Workspace, address: str | None) -> Iterator[Finding]:
    """Look at everything a run needs, the quick things first; a check that fails is a finding."""
    checks: dict[str, Callable[[], Finding]] = {
        "packages": _packages,
        "own code": _own_code,
        "cores": _cores,
        "memory": _memory,
        "ports": _loopback,
        "workspace": lambda: _disk("workspace", _existing(workspace.root)),
        "temporary files": lambda: _disk("temporary files", Path(tempfile.gettempdir())),
        "shared memory": _shared_memory,
        "folder": lambda: _folder(_existing(workspace.root)),
        "compiler": _compiler,
        "GPU": _gpu,
        "search store": lambda: _search_store(workspace),
        "MLflow": lambda: _tracking_store(workspace),
    }
    if address:
        checks["Ray cluster"] = lambda: _cluster(address)
    for about, check in checks.items():
        try:
            yield check()
        except Exception as error:  # a package that is missing or broken, a folder that cannot be looked at
            said = next(iter(str(error).splitlines()), "")
            yield Finding(about, "problem", masked(f"{type(error).__name__}: {said}"), "see the packages above")


def describe(finding: Finding) -> str:
    """Write a finding in a line, its remedy below."""
    line = f"{finding.state:<8} {finding.about}: {finding.says}"
    return f"{line}\n{'':<8} {finding.remedy}" if finding.remedy else line


def _packages() -> Finding:
    """Compare what is installed with what this package asks for, its extras left out."""
    wrong = []
    for text in _needed():
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            have = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(have, prereleases=True):
            wrong.append(f"{needed.name} {have} is installed, and {needed.specifier} is needed")
    if wrong:
        return Finding("packages", "problem", "; ".join(wrong), "install them again: make setup")
    return Finding("packages", "ok", ", ".join(f"{name} {found}" for name, found in versions().items()))


def _needed() -> list[str]:
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # a checkout that is not installed says nothing of what it needs
        return []


def _own_code() -> Finding:
    try:
        check_own_code()
    except SetupError as error:
        return _trouble("own code", error)
    return Finding("own code", "ok", f"imported from {Path(__file__).resolve().parents[2]}")


def _cores() -> Finding:
    usable = usable_cores()
    return Finding("cores", "ok", f"{usable} usable of {os.cpu_count()}, {platform.machine()}")


def _memory() -> Finding:
    total, free = _memory_bytes()
    says = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        return Finding("memory", "problem", says, "end other programs: two slots of a compact model need 2 GiB")
    return Finding("memory", "ok", says)


def _memory_bytes() -> tuple[int, int]:
    """Return the machine's memory and what of it is free, in bytes, or the container's where that has less."""
    pages = {name: os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES")}
    total, free = (pages["SC_PAGE_SIZE"] * pages[name] for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):  # free pages and those that caches give back
            free = 1024 * int(line.split()[1])
    limits = [int(line) for line in _lines(Path("/sys/fs/cgroup/memory.max")) if line.isdecimal()]
    used = sum(int(line) for line in _lines(Path("/sys/fs/cgroup/memory.current")) if line.isdecimal())
    stat = dict(line.split() for line in _lines(Path("/sys/fs/cgroup/memory.stat")))
    if limits and limits[0] < total:  # files that were read are given back when memory is needed
        total, free = limits[0], min(free, limits[0] - used + int(stat.get("inactive_file", 0)))
    return total, free


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding("ports", "ok", "a server may listen on 127.0.0.1, as Ray does here")
    except OSError as error:
        return Finding("ports", "problem", f"nothing may listen on 127.0.0.1: {error.strerror}", "allow it: Ray does")


def _existing(folder: Path) -> Path:
    """Return a folder, or the one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _disk(about: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    says = f"{free / GIB:.1f} GiB free below {folder}"
    if free < LEAST_DISK:
        remedy = "make room, or choose another " + ("--workspace" if about == "workspace" else "TMPDIR")
        return Finding(about, "problem", says, remedy)
    return Finding(about, "ok", says)


def _shared_memory() -> Finding:
    place = Path("/dev/shm")
    if not place.is_dir():
        return Finding(
            "shared memory", "note", "there is no /dev/shm", "Ray uses files in the temporary folder instead"
        )
    free = shutil.disk_usage(place).free
    says = f"{free / GIB:.1f} GiB free"
    if free < LEAST_SHARED:
        remedy = "Ray uses files instead; in a container give it more: docker run --shm-size=2g"
        return Finding("shared memory", "note", says, remedy)
    return Finding("shared memory", "ok", says)


def _folder(folder: Path) -> Finding:
    """Try in a workspace's folder what its stores do there: locks and SQLite's write-ahead log."""
    try:
        with tempfile.TemporaryDirectory(prefix=".sweeper-doctor-", dir=folder) as own:
            database = sqlite3.connect(Path(own, "test.db"))
            try:
                (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
                database.execute("CREATE TABLE one (two)")
                database.commit()
            finally:
                database.close()
    except (OSError, sqlite3.Error) as error:
        return Finding("folder", "problem", f"{folder} cannot hold a workspace: {error}", "choose another --workspace")
    if mode != "wal":
        remedy = "with several readers SQLite is slow there: put the workspace on a local disk"
        return Finding("folder", "note", f"{folder} has no shared memory for SQLite", remedy)
    return Finding("folder", "ok", f"{folder} takes locks and databases")


def _compiler() -> Finding:
    from trainer.runtime.compiler import has_compiler

    if has_compiler():
        return Finding("compiler", "ok", "samples may be drawn by compiled code")
    remedy = "install g++, or name a C++ compiler in CXX"
    return Finding("compiler", "note", "none: samples are drawn by slower code", remedy)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "ok", "; ".join(map(_card, range(torch.cuda.device_count()))))
    if shutil.which("nvidia-smi"):
        says = f"the driver is here, but torch {torch.__version__} cannot use it"
        return Finding("GPU", "note", says, "install torch's CUDA build, and one that fits the driver")
    return Finding("GPU", "ok", "none: studies run on the CPU (resources.gpus: 0)")


def _card(number: int) -> str:
    """Name a card and its memory: what is used, by other programs as well, if it says so."""
    import torch

    card = torch.cuda.get_device_properties(number)
    try:
        free, total = torch.cuda.mem_get_info(number)
    except RuntimeError:  # taken by a program that shares it with nobody, as a cluster may set it up
        return f"{card.name}, {card.total_memory / GIB:.1f} GiB"
    return f"{card.name}, {memory_use(total - free, total)} used"


def _search_store(workspace: Workspace) -> Finding:
    from sweeper.search import state_counts

    try:
        state_counts(workspace.store_url, NOBODY)
    except SweeperError as error:
        return _trouble("search store", error)
    return Finding("search store", "ok", "answers" if workspace.shares_store else "SQLite in the workspace")


def _tracking_store(workspace: Workspace) -> Finding:
    from sweeper.ledger import owner_of

    try:
        owner_of(workspace.tracking_uri, NOBODY)
    except StudyError:
        pass  # it answers that it has no such study
    except SweeperError as error:
        return _trouble("MLflow", error)
    return Finding("MLflow", "ok", "answers" if workspace.shares_tracking else "SQLite in the workspace")


def _cluster(address: str) -> Finding:
    from sweeper.placement.ray_access import guest

    try:
        with guest(address):
            if os.environ.get("RAY_AUTH_MODE") == "token":
                return Finding("Ray cluster", "ok", f"{address} answers")
            return Finding(
                "Ray cluster",
                "note",
                f"{address} answers, and asks for no token",
                "start its nodes with RAY_AUTH_MODE=token",
            )
    except SweeperError as error:
        return _trouble("Ray cluster", error)


def _trouble(about: str, error: SweeperError) -> Finding:
    return Finding(about, "problem", error.message, error.remedy)
