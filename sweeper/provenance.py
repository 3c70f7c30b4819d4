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

PACKAGES = ("sweeper", "torch", "torch-fidelity", "ray", "optuna", "mlflow", "numpy", "scikit-learn")


def gather(command: str) -> Provenance:
    """Describe a run of `command`; a machine without git, or code outside a checkout, has no commit."""
    commit = _git("rev-parse", "HEAD")
    return Provenance(
        command=command,
        commit=commit or "unknown",
        dirty=bool(commit and _git("status", "--porcelain", "--untracked-files=no")),
        versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        cores=usable_cores(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_s=0.0,
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command_line(file: Path, overrides: Sequence[str], stage: str | None) -> str:
    """Return the command that repeats a run anywhere: without workspaces and URLs, which are this machine's own."""
    shown = file.name if file.is_absolute() else str(file)
    changes = [part for override in overrides for part in ("--set", override)]
    return shlex.join(["sweeper", "run", shown, *changes, *(["--stage", stage] if stage else [])])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    # The code's own checkout, not the folder the user stands in.
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
