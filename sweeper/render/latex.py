"""A guide's tables for a paper: one fragment to \\input, each table with its caption and label."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sweeper.guide.schema.guide import Guide
from sweeper.render.latex_escaping import printable
from sweeper.render.tables.sections import guide_tables
from sweeper.render.tables.table import to_latex

ORIGIN = ("command", "commit", "started")


def render_latex(guide: Guide) -> str:
    """Write the tables that guide.md shows, in its order; the fragment starts with how it was made."""
    found = ((name, section) for name, section in guide_tables(guide).items() if section.table)
    tables = [to_latex(section.table, section.caption, _label(guide.name, name)) for name, section in found]
    return "\n\n".join(["\n".join(_head(guide)), *tables]) + "\n"


def _head(guide: Guide) -> Iterator[str]:
    yield f"% The tables of the study {printable(guide.name)}, made by `sweeper report --format latex`."
    yield from (f"% {item.name}: {printable(item.value)}" for item in guide.provenance if item.name in ORIGIN)
    if guide.preliminary:
        yield f"% {printable(guide.preliminary)}"
    yield f"% {printable(guide.verdict.headline)}"
    yield r"% Needs \usepackage{amssymb, array, booktabs, graphicx}."


def _label(*words: str) -> str:
    return "tab:" + "-".join(re.sub("[^A-Za-z0-9]+", "-", word).strip("-") for word in words)
