"""Keep a user's files from shadowing our imports: the current folder may hold a trainer.py, a ray.py or an mlflow/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sweeper.errors import SetupError

HOME = Path(__file__).resolve().parents[2]
OURS = ("sweeper", "trainer")


def keep_folder_out() -> None:
    """Remove the current folder from sys.path, here and in processes started from here; run it before our imports.

    Python puts it there with `python -c`, `python -m`, and wherever PYTHONPATH begins or ends with a colon.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # nothing can be imported from a folder that was removed
        return
    if here == HOME:
        return
    sys.path[:] = [entry for entry in sys.path if not _is(entry, here)]
    if "PYTHONPATH" in os.environ:
        entries = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if not _is(entry, here))


def check_own_code() -> None:
    """Raise SetupError, naming the file, if another package shadows one of ours."""
    for name in OURS:
        specs = (finder.find_spec(name, None) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec), None)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found != HOME / name / "__init__.py":
            raise SetupError(
                f"{found or 'nothing'} is imported in the place of sweeper's own package {name!r}",
                "rename it, or take its folder off PYTHONPATH",
            )


def _is(entry: str, folder: Path) -> bool:
    return Path(entry or ".").resolve() == folder
