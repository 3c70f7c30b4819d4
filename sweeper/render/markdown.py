"""A guide as markdown: padded tables that read well raw in a terminal and on a code host."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.guide.schema.guide import Guide
from sweeper.guide.wording.cautions import DRAWS_POORLY, POOR_FIRST
from sweeper.guide.wording.glossary import glossary, key
from sweeper.guide.wording.loss_forms import forms, on_unsaturated
from sweeper.guide.wording.prior_art import READINGS, SOURCE
from sweeper.render.environment import markdown_environment, tidied
from sweeper.render.figures.plots import Plot
from sweeper.render.next_study_yaml import next_yaml
from sweeper.render.tables.cell_figures import legend
from sweeper.render.tables.claim_tables import ranking
from sweeper.render.tables.guide_tables import outcome_directions
from sweeper.render.tables.heuristic_table import table_notes
from sweeper.render.tables.sections import guide_tables, is_grid
from sweeper.render.tables.table import fenced
from sweeper.statistics.error_budget import CONTROL_ALPHA, OBJECTIVE_ALPHA, SIDE_ALPHA
from sweeper.text import numbers


def render_markdown(guide: Guide, plots: Mapping[str, Plot]) -> str:
    """Write the guide; `plots` by name, those that are missing are left out."""
    environment = markdown_environment()
    environment.filters.update(
        fenced=fenced,
        yaml=next_yaml,
        ranking=ranking,
        metric=numbers.metric_name,
        percent=numbers.percent,
        figure=numbers.figure,
        share=numbers.share,
        duration=numbers.duration,
    )
    sections = guide_tables(guide)
    tables = {name: section.table for name, section in sections.items()}
    text = environment.get_template("guide.md.j2").render(
        guide=guide,
        control_alpha=CONTROL_ALPHA,
        side_alpha=SIDE_ALPHA,
        objective_alpha=OBJECTIVE_ALPHA,
        plots=plots,
        source=SOURCE,
        readings=READINGS,
        metric=guide.words(guide.objective),
        tables=tables,
        folded=[section for section in sections.values() if section.fold and section.table],
        directions=outcome_directions(guide),
        grids=[table for name, table in tables.items() if is_grid(name)],
        legend=legend(guide),
        table_notes=table_notes(guide),
        glossary=glossary(guide),
        key=key(guide),
        before_next=POOR_FIRST if any(DRAWS_POORLY in point for point in guide.verdict.sentences) else "",
        failing=[f"*{name}*: {gate.says}" for name, gate in guide.gates.items() if gate.passed is False],
        floor="its floor" if forms([result.cell.dispersion for result in guide.main.rows]) else "the floor -log B",
        unsaturated=on_unsaturated([knob.name for knob in guide.knobs]),
    )
    return tidied(text)
