"""The study that a guide proposes, as a file beside it that `sweeper run` takes.

The file is replaced as long as nobody changed it, and a user's own are never touched.
"""

from __future__ import annotations

import hashlib
import logging
import textwrap
from collections.abc import Iterable
from pathlib import Path

from sweeper.guide.schema.statements import NextStudy
from sweeper.study.yaml_files import to_yaml
from trainer.runtime.files import write_whole

log = logging.getLogger(__name__)

COLUMNS = 118
SEAL = "# Written by sweeper, which replaces this file as long as nobody changes it: "


def next_yaml(next_study: NextStudy) -> str:
    """Write the study as YAML, with what it follows and what it aims at as a comment."""
    return _header(next_study.follows, next_study.study.name, next_study.aims) + to_yaml(next_study.study)


def _header(before: str, name: str, aims: Iterable[str]) -> str:
    lines = [f"Follows the study {before}, which left this open:"]
    for aim in aims:
        # A label may hold what no YAML comment may.
        plain = "".join(sign if sign.isprintable() else " " for sign in aim)
        lines += textwrap.wrap(plain, COLUMNS, initial_indent="- ", subsequent_indent="  ")
    if name == before:
        lines.append("It has the same name: in the same workspace `sweeper run` measures only what is new in it.")
    else:
        lines.append("Its seeds were not used before, so its claims stand by themselves; do not pool the figures.")
    return "".join(f"# {line}\n" for line in lines) + "\n"


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
        write_whole(path, sealed(path.name, text), durable=False)


def sealed(name: str, text: str) -> str:
    """Return the file's text with a seal: a hash of its name and contents."""
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
