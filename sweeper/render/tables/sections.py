"""Every table of a guide by name, in the guide's order: the one place where a format finds them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sweeper.guide.schema.guide import Guide
from sweeper.guide.wording.prior_art import READINGS, SOURCE
from sweeper.render.tables.cell_figures import legend
from sweeper.render.tables.claim_tables import (
    audit_table,
    claim_table,
    control_table,
    knob_table,
    pair_table,
    proxy_table,
    pruning_table,
    set_table,
    side_table,
)
from sweeper.render.tables.front_table import front_caption, front_table
from sweeper.render.tables.guidance_tables import guidance_table, length_table, variety_table
from sweeper.render.tables.guide_tables import (
    MOST_ROWS,
    arms_table,
    block_table,
    compared_table,
    correlation_table,
    grid_table,
    health_table,
    item_table,
    list_table,
    model_table,
    outcome_directions,
    outcome_table,
    prior_table,
    rule_table,
    shown_pages,
)
from sweeper.render.tables.heuristic_table import heuristic_table, table_notes
from sweeper.render.tables.probe_tables import probe_step_table, probe_table
from sweeper.render.tables.table import Table
from trainer.recipe import fid_name

GRID = "grid-"
TOGETHER = "paired t on the log scale, tested in the direction the screen saw; all intervals of a metric hold at once"
PAIRED = "paired by seed: geometric mean of the ratio and 95 % t-interval, each for one comparison"


# The folded parts of a guide, each a file of sweeper/render/templates/guide/.
Fold = Literal["rules", "how_sure", "why", "outcomes", "settings", "prior_art", "next", "protocol"]


class Section(NamedTuple):
    """A table and its caption in plain words, for formats that show it away from the text.

    With a `fold` markdown shows it at the end of that part under its caption; without, a template says where it stands
    and what is written around it.
    """

    caption: str
    table: Table
    fold: Fold | None = None


def guide_tables(guide: Guide) -> dict[str, Section]:
    """Tabulate all there is to tell; a section the study has nothing for holds a table without rows."""
    metric = guide.words(guide.objective)
    marks = f"{metric}, lower is better; {legend(guide)}."
    grids = {f"{GRID}{place}": grid_table(guide, page) for place, page in enumerate(shown_pages(guide), 1)}
    return {
        "heuristics": Section(f"What to use. {table_notes(guide)}".replace("*", "").strip(), heuristic_table(guide)),
        "rules": Section(f"What to do, and the evidence for it; at {guide.scope}.", rule_table(guide)),
        **{name: Section(f"Results, {page.header[0]}: {marks}", page) for name, page in grids.items()},
        "listed": Section(f"{_listed(guide)}: {marks}", list_table(guide)),
        "arms": Section(f"{_arms(guide)}; training time is that of the fastest trial: {marks}", arms_table(guide)),
        "claims": Section(f"Fresh seeds against the baseline; {TOGETHER}.", claim_table(guide)),
        "controls": Section(
            "Settings that help, against control arms without dispersion on fresh seeds.", control_table(guide)
        ),
        "set": Section("The recommended set, simplest first; the arrow marks the first choice.", set_table(guide)),
        "compared": Section(
            f"Change to the baseline on shared seeds, screening seeds; {PAIRED}; no claim.", compared_table(guide)
        ),
        "pairs": Section(
            "Pairs of knobs: does the effect of one depend on the other? From the screen; no claim.", pair_table(guide)
        ),
        "knobs": Section("One knob at a time, from the screen; no claim.", knob_table(guide)),
        "audits": Section("Audits.", audit_table(guide)),
        "proxy": Section("Finalists by proxy and by full metric, geometric means.", proxy_table(guide)),
        "pruning": Section("Settings that were spared to check the pruner.", pruning_table(guide)),
        "health": Section(
            "Health of the representation at a cell's own blocks, against the baseline's at the same block and step.",
            health_table(guide),
        ),
        "blocks": Section("Norm and effective rank after each block.", block_table(guide)),
        "probe": Section(
            "Held-out accuracy of a linear probe (of 10 nearest neighbours) on a block's tokens, by noise level.",
            probe_table(guide),
        ),
        "probe_steps": Section("Linear probe by step of training.", probe_step_table(guide)),
        "correlations": Section(
            f"Rank correlation of health and mean {metric}, over cells; no claim.", correlation_table(guide)
        ),
        "beside": Section(f"Other outcomes on fresh seeds; {TOGETHER}.", side_table(guide)),
        "outcomes": Section(
            f"Other outcomes: arithmetic mean ± standard deviation over seeds; {outcome_directions(guide)}.",
            outcome_table(guide),
        ),
        "front": Section(front_caption(guide), front_table(guide), fold="outcomes"),
        "guidance": Section(
            f"Guidance without training again, fresh seeds: mean {_curve_metric(guide)} and its change to the baseline "
            "at the same scale, or each at its own best; 95 % t-intervals, each for one comparison; no claim.",
            guidance_table(guide),
        ),
        "lengths": Section(
            f"Guidance by training length, fresh seeds: mean {_curve_metric(guide)} and its change to the baseline at "
            "the same scale and step; the same trials on the way to their end; no claim.",
            length_table(guide),
        ),
        "variety": Section(
            "Guidance trades variety (recall) for fidelity (precision).", variety_table(guide), fold="outcomes"
        ),
        "prior": Section(
            f"Prior art. {SOURCE}. {READINGS}. Only directions can be compared with this study.", prior_table(guide)
        ),
        "models": Section("Weights that were kept, an artifact of each trial's run in MLflow.", model_table(guide)),
        "recipe": Section("Recipe.", item_table("recipe", guide.recipe)),
        "protocol": Section("Protocol.", item_table("protocol", guide.protocol)),
        "provenance": Section("Provenance.", item_table("provenance", guide.provenance)),
    }


def _curve_metric(guide: Guide) -> str:
    return guide.words(fid_name(guide.guidance[0].samples)) if guide.guidance else guide.distance


def is_grid(name: str) -> bool:
    """Return whether a section is a page of the grid."""
    return name.startswith(GRID)


def _arms(guide: Guide) -> str:
    disperses = any(result.cell.dispersion.lam > 0 for result in guide.main.controls)
    return "The baseline and the control arms" if disperses else "Without dispersion"


def _listed(guide: Guide) -> str:
    if shown_pages(guide):
        return "Settings outside the grid"
    count = len(guide.main.cells)
    return (
        f"The {MOST_ROWS} lowest means of {count:,} settings, and the marked ones" if count > MOST_ROWS else "Results"
    )
