"""A guide as markdown: padded tables that read well raw in a terminal and on a code host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.guide.assemble import guidance
from sweeper.guide.schema.guidance import Guidance
from sweeper.guide.wording.prior_art import SOURCE
from sweeper.records import StudyRecord
from sweeper.render.figures.plots import Plot, draw
from sweeper.render.html import render_html
from sweeper.render.latex import render_latex
from sweeper.render.next_study import next_yaml
from sweeper.render.own_files import FILES, Format, OwnFiles
from sweeper.render.proposed_study import write_proposed
from sweeper.render.tables.claim_tables import ranking
from sweeper.render.tables.guide_tables import legend, outcome_directions
from sweeper.render.tables.sections import guide_tables, is_grid
from sweeper.render.tables.table import fenced, to_markdown
from sweeper.statistics.levels import OBJECTIVE_ALPHA, SIDE_ALPHA
from sweeper.text import numbers
from sweeper.text.inert import prose, visible


def write_guide(
    record: StudyRecord, folder: Path, grids: Callable[[str], bytes | None] | None, form: Format = "markdown"
) -> Path:
    """Write guide.md, guide.json and their pictures into `folder`, and the form asked for; return that one's path.

    `grids` gives a trial's sample grid (PNG) by the trial's key, or None; without it the picture of samples that lies
    there is kept. A form that lies there from an earlier call is written anew, so that no two of them disagree. What
    somebody changed is kept under another name.
    """
    guide = guidance(record)
    plots = draw(guide, folder, grids)
    files = OwnFiles(folder)
    files.write("guide.json", guide.model_dump_json(indent=1) + "\n")
    found = guide.next_study
    write_proposed(folder, found.file if found else None, next_yaml(found) if found else "")
    text = render_markdown(guide, plots)
    files.write(FILES["markdown"], text)
    if form == "html" or (folder / FILES["html"]).exists():
        files.write(FILES["html"], render_html(text, folder, visible(f"{guide.name}: {guide.question}")))
    if form == "latex" or (folder / FILES["latex"]).exists():
        files.write(FILES["latex"], render_latex(guide))
    return folder / FILES[form]


def render_markdown(guide: Guidance, plots: Mapping[str, Plot]) -> str:
    """Write the guide; `plots` by name, those that are missing are left out."""
    # No autoescape: this is markdown, and a study's words are escaped by `prose` and `table`.
    environment = Environment(
        loader=PackageLoader("sweeper.render", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters.update(
        prose=prose,
        fenced=fenced,
        md=to_markdown,
        yaml=next_yaml,
        ranking=ranking,
        metric=numbers.metric_name,
        percent=numbers.percent,
        figure=numbers.figure,
        share=numbers.share,
        duration=numbers.duration,
    )
    tables = {name: one.table for name, one in guide_tables(guide).items()}
    text = environment.get_template("guide.md.j2").render(
        guide=guide,
        side_alpha=SIDE_ALPHA,
        objective_alpha=OBJECTIVE_ALPHA,
        plots=plots,
        source=SOURCE,
        metric=numbers.metric_name(guide.objective),
        tables=tables,
        directions=outcome_directions(guide),
        grids=[found for name, found in tables.items() if is_grid(name)],
        legend=legend(guide),
    )
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
