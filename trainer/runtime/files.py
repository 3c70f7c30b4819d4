"""Atomic writing of files, and reading small JSON files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)  # a full disk, or a user's quota


def write_whole(path: Path, content: str | bytes, durable: bool = True) -> None:
    """Put `content` at `path`, which holds the old or the new content, whole, whenever the machine stops.

    `durable` waits for the disk; without it a crash of the machine, though not of the process, may leave an empty
    file. A folder in the place of the file is moved aside. Raises OSError.
    """
    data = content.encode() if isinstance(content, str) else content
    # With the process id in its name: a predecessor that is still alive cannot write into our file.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _make_way(path)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a file of JSON; raise ValueError for one that holds anything else, OSError where it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _make_way(path: Path) -> None:
    """Move a folder at `path` aside, to the first free name; its contents are unknown, so it is kept."""
    if not path.is_dir() or path.is_symlink():
        return
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}.aside")).exists():
        number += 1
    path.rename(aside)
