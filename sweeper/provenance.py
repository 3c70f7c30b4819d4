"""Where a study's figures come from: command, commit, versions, machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sweeper.records import Provenance
from sweeper.text.passwords import masked

CHANGED = "+"
NOTIFY = "--notify"  # its URL is a secret
DISTRIBUTION = "dispersive-sweeper"  # what pip knows this package by
PACKAGES = ("torch", "torch-fidelity", "ray", "optuna", "mlflow", "numpy", "scikit-learn")


def gather(command: str) -> Provenance:
    """Describe a run of `command`: sweeper's own code and, beside it, the project in whose folder it was typed."""
    code = Path(__file__).resolve().parent
    commit = _commit(code) if _is_tracked(Path(__file__).resolve()) else ""
    return Provenance(
        command=command,
        commit=commit.removesuffix(CHANGED) or "unknown",
        dirty=commit.endswith(CHANGED),
        project_commit=_commit(Path.cwd()),
        versions=versions(),
        cores=usable_cores(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_s=0.0,
    )


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package, and of the packages that figures depend on."""
    own = {"python": platform.python_version(), "sweeper": _version(DISTRIBUTION)}
    return own | {name: _version(name) for name in PACKAGES}


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as it was typed, without passwords and without where its user is notified."""
    kept = list(arguments)
    while NOTIFY in kept:
        del kept[kept.index(NOTIFY) : kept.index(NOTIFY) + 2]
    return shlex.join(["sweeper", *(masked(one) for one in kept if not one.startswith(f"{NOTIFY}="))])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit(folder: Path) -> str:
    """Return the commit checked out in a folder, with a '+' where files differ from it; '' outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit + CHANGED * bool(commit and _git(folder, "status", "--porcelain", "--untracked-files=no"))


def _is_tracked(file: Path) -> bool:
    # Installed into the environment of a project, sweeper lies in a checkout that is not its own.
    return bool(_git(file.parent, "ls-files", "--error-unmatch", file.name))


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
