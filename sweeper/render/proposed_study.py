"""The next study's file beside a guide: replaced as long as nobody changed it, and a user's own are never touched."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

log = logging.getLogger(__name__)

SEAL = "# Written by sweeper, which replaces this file as long as nobody changes it: "


def write_proposed(folder: Path, name: str | None, text: str) -> None:
    """Write a study file into a guide's folder, or none, and remove those of earlier guides.

    One that somebody changed is kept; the new one then gets another name, and a warning says so.
    """
    for old in folder.glob("*.yaml"):
        if is_ours(old):
            old.unlink()
    if name is None:
        return
    path = folder / name
    if path.exists():
        kept, path = path, path.with_suffix(".new.yaml")
        log.warning("%s was changed by hand and is kept; the new one is %s", kept, path.name)
    if not path.exists():
        path.write_text(sealed(path.name, text), encoding="utf-8")


def sealed(name: str, text: str) -> str:
    """A file that knows its name and what was written in it."""
    return f"{SEAL}{_digest(name, text)}\n{text}"


def is_ours(path: Path) -> bool:
    """Whether a study file is one that sweeper wrote and nobody changed."""
    try:
        seal, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return False
    return seal == SEAL + _digest(path.name, text)


def _digest(name: str, text: str) -> str:
    return hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:16]
