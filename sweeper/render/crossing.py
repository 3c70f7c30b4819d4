"""A crossing as files: markdown, HTML that loads nothing, and JSON with every number."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sweeper.guide.crossing.schema import CROSSING_FILE, Crossing, KnobCrossing
from sweeper.guide.crossing.wording import claimed
from sweeper.guide.schema.results import Change
from sweeper.render.environment import markdown_environment, tidied
from sweeper.render.guide_files import OwnFiles
from sweeper.render.html import render_html
from sweeper.render.tables.table import Table
from sweeper.text.numbers import MISSING, change, share, spread

MARKDOWN, HTML = "crossing.md", "crossing.html"
LOWEST = "(lowest)"


class _Knob(NamedTuple):
    words: str
    table: Table
    test: str


def write_crossing(crossing: Crossing, folder: Path) -> Path:
    """Write crossing.md, .html and .json; a file that somebody changed is kept under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    files, text = OwnFiles(folder), render_crossing(crossing)
    files.write(CROSSING_FILE, crossing.model_dump_json(indent=1) + "\n")
    files.write(HTML, render_html(text, folder, f"{crossing.title}: does the best setting move?"))
    files.write(MARKDOWN, text)
    return folder / MARKDOWN


def render_crossing(crossing: Crossing) -> str:
    """Write a crossing as markdown."""
    text = (
        markdown_environment()
        .get_template("crossing.md.j2")
        .render(
            crossing=crossing,
            studies=_studies(crossing),
            knobs=[_Knob(knob.words, _levels(knob, crossing), _test(knob)) for knob in crossing.knobs],
            unused=Table(("study", "why"), crossing.unused),
        )
    )
    return tidied(text)


def _studies(crossing: Crossing) -> Table:
    head = (
        *crossing.fields,
        f"{crossing.metric} at lambda 0",
        "on fresh seeds",
        "change [95 % together]",
        "standing",
        "study",
    )
    rows = (
        (
            *crossed.values,
            MISSING if crossed.mean is None else f"{spread(crossed.mean, crossed.sd)} ({crossed.n})",
            crossed.setting or MISSING,
            claimed(crossed) or MISSING,
            crossed.standing or MISSING,
            crossed.study,
        )
        for crossed in crossing.studies
    )
    return Table(head, tuple(rows))


def _levels(knob: KnobCrossing, crossing: Crossing) -> Table:
    lowest = [knob.lowest(place) for place in range(len(crossing.studies))]
    rows = (
        (level, *(_change(cell) + (f" {LOWEST}" if level == lowest[place] else "") for place, cell in enumerate(row)))
        for level, row in zip(knob.levels, knob.changes, strict=True)
    )
    return Table((knob.words, *(crossed.place for crossed in crossing.studies)), tuple(rows))


def _change(effect: Change | None) -> str:
    return change(effect.mean, effect.low, effect.high) if effect else MISSING


def _test(knob: KnobCrossing) -> str:
    if knob.p is None or knob.adjusted is None or knob.size is None:
        return f"Whether the studies differ was not tested: {knob.reason}."
    return (
        f"Do the studies differ? p = {knob.p:.2g}, {knob.adjusted:.2g} over all knobs; "
        f"a level typically moves by {share(knob.size)} between them, less noise."
    )
