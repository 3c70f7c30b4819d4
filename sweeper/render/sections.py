"""Every table of a guide by name, in the guide's order: the one place where a format finds them."""

from __future__ import annotations

from typing import NamedTuple

from sweeper.guide.guidance import Guidance, StageResult
from sweeper.guide.numerals import metric_name
from sweeper.guide.prior_art import SOURCE
from sweeper.render.table import Table
from sweeper.render.tables import (
    MOST_ROWS,
    arms_table,
    block_table,
    compared_table,
    correlation_table,
    grid_table,
    health_table,
    item_table,
    legend,
    list_table,
    outcome_table,
    prior_table,
    rule_table,
    shown_pages,
    table,
)

GRID = "grid-"
PAIRED = "paired by seed: geometric mean of the ratio and 95 % t-interval, each for one comparison"


class Section(NamedTuple):
    """A table and, for formats that show it away from the text, its caption in plain words."""

    caption: str
    table: Table


def guide_tables(guide: Guidance) -> dict[str, Section]:
    """Tabulate all there is to tell; a section the study has nothing for holds a table without rows."""
    metric = metric_name(guide.objective)
    marks = f"{metric}, lower is better; {legend(guide.main)}."
    grids = {f"{GRID}{place}": grid_table(guide, page) for place, page in enumerate(shown_pages(guide), 1)}
    return {
        **{name: Section(f"Results, {page.header[0]}: {marks}", page) for name, page in grids.items()},
        "listed": Section(f"{_listed(guide)}: {marks}", list_table(guide)),
        "arms": Section(f"Without dispersion: {marks}", arms_table(guide.main, metric)),
        "compared": Section(_compared(guide.main), compared_table(guide.main, metric)),
        "fresh": Section(
            _compared(guide.fresh) if guide.fresh else "",
            compared_table(guide.fresh, metric) if guide.fresh else table((), ()),
        ),
        "rules": Section("What to do, and the evidence for it.", rule_table(guide)),
        "health": Section(
            "Health of the representation at a cell's own blocks, against the baseline's at the same block and step.",
            health_table(guide),
        ),
        "blocks": Section("Norm and effective rank after each block.", block_table(guide)),
        "correlations": Section(
            f"Rank correlation of health and mean {metric}, over cells; no claim.", correlation_table(guide)
        ),
        "outcomes": Section("Other outcomes: mean ± standard deviation over seeds.", outcome_table(guide)),
        "prior": Section(f"Prior art. {SOURCE}. Only directions can be compared with this study.", prior_table(guide)),
        "recipe": Section("Recipe.", item_table("recipe", guide.recipe)),
        "protocol": Section("Protocol.", item_table("protocol", guide.protocol)),
        "provenance": Section("Provenance.", item_table("provenance", guide.provenance)),
    }


def is_grid(name: str) -> bool:
    """Tell whether a section is a page of the grid."""
    return name.startswith(GRID)


def _listed(guide: Guidance) -> str:
    if shown_pages(guide):
        return "Settings beside the grid"
    count = len(guide.main.cells)
    return (
        f"The {MOST_ROWS} lowest means of {count:,} settings, and the marked ones" if count > MOST_ROWS else "Results"
    )


def _compared(stage: StageResult) -> str:
    seeds = "fresh" if stage.stage == "confirm" else "screening"
    return f"Change to the baseline on shared seeds, {seeds} seeds; {PAIRED}; no claim."
