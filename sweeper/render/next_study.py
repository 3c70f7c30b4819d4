"""The study that a guide proposes, as a file that `sweeper run` takes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from sweeper.guide.schema.statements import NextStudy
from sweeper.study.file import to_yaml

COLUMNS = 118


def next_yaml(found: NextStudy) -> str:
    """Write the study as YAML, with what it follows and what it aims at as a comment."""
    return _header(found.follows, found.study.name, found.aims) + to_yaml(found.study)


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
