"""Paths as a user writes them."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.errors import DataError


def expanded(path: str | Path) -> Path:
    """Return a path with a leading ~ replaced by the home it stands for; raise ValueError for the home of nobody.

    pathlib's own `expanduser` raises RuntimeError there, and os.path's leaves the name as it is: whoever then makes
    the folder makes one called '~name'.
    """
    full = os.path.expanduser(path)
    if full.startswith("~"):
        home = full.partition(os.sep)[0]
        raise ValueError(f"{path}: {home} is no user's home on this machine; write the full path")
    return Path(full)


def located(path: str) -> Path:
    """Return where a path of a study leads, ~ expanded; raise DataError for the home of nobody."""
    try:
        return expanded(path)
    except ValueError as error:
        raise DataError(str(error)) from None
