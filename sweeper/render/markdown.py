"""A guide as markdown: padded tables that read well raw in a terminal and on a code host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.guide import numerals
from sweeper.guide.assemble import guidance
from sweeper.guide.guidance import Guidance
from sweeper.guide.prior_art import SOURCE
from sweeper.records import StudyRecord
from sweeper.render.plots import Plot, draw
from sweeper.render.tables import (
    arms_table,
    block_table,
    compared_table,
    grid_table,
    health_table,
    item_table,
    legend,
    list_table,
    outcome_table,
    prose,
    shown_pages,
    table,
)


def write_guide(record: StudyRecord, folder: Path, grids: Callable[[str], bytes | None]) -> Path:
    """Write guide.md, guide.json and their pictures into `folder`; return guide.md's path.

    `grids` gives a trial's sample grid (PNG) by the trial's key, or None.
    """
    guide = guidance(record)
    plots = draw(guide, folder, grids)
    (folder / "guide.json").write_text(guide.model_dump_json(indent=1) + "\n", encoding="utf-8")
    path = folder / "guide.md"
    path.write_text(render_markdown(guide, plots), encoding="utf-8")
    return path


def render_markdown(guide: Guidance, plots: Mapping[str, Plot]) -> str:
    """Write the guide; `plots` by name, those that are missing are left out."""
    # No autoescape: this is markdown, and a study's words are escaped by `prose` and `table`.
    environment = Environment(
        loader=PackageLoader("sweeper.render", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters.update(prose=prose, figure=numerals.figure, share=numerals.share, duration=numerals.duration)
    metric = numerals.metric_name(guide.objective)
    text = environment.get_template("guide.md.j2").render(
        guide=guide,
        plots=plots,
        source=SOURCE,
        metric=metric,
        grids=[grid_table(guide, page) for page in shown_pages(guide)],
        legend=legend(guide.main),
        arms=arms_table(guide.main, metric),
        listed=list_table(guide),
        compared=compared_table(guide.main, metric),
        fresh=compared_table(guide.fresh, metric) if guide.fresh else "",
        rules=table(("what", "evidence", "grade"), [(one.rule, one.evidence, one.grade) for one in guide.rules]),
        health=health_table(guide),
        blocks=block_table(guide),
        correlations=table(
            (f"over cells, against mean {metric}", "Spearman's rho", "cells"),
            [(one.name, f"{one.rho:+.2f}", str(one.n)) for one in guide.correlations],
        ),
        outcomes=outcome_table(guide),
        prior=table(
            ("setting", "published FID", "source", "here: change to the baseline"),
            [(one.what, one.published, one.grade, one.here) for one in guide.prior_art],
        ),
        recipe=item_table("recipe", guide.recipe),
        protocol=item_table("protocol", guide.protocol),
        provenance=item_table("provenance", guide.provenance),
    )
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
