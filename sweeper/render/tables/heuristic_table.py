"""The heuristics table: one row a knob, right below the verdict; and what its signs mean."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.guide.schema.guide import Guide
from sweeper.render.tables.guide_tables import table
from sweeper.render.tables.table import Table
from sweeper.text.numbers import MISSING, percent


def heuristic_table(guide: Guide) -> Table:
    """Tabulate the value to use for every swept knob; lambda first, since the others depend on it."""
    rows = sorted(guide.heuristics.rows, key=lambda row: row.knob != "lambda")
    seen = any(row.fresh not in ("", MISSING) for row in rows)
    head = ("knob", "use", f"safe range (within {percent(guide.seeds.margin)})", "change at the next level [95 %]")
    lines = ((row.words, row.use, row.safe, row.step, *((row.fresh,) if seen else ()), row.grade) for row in rows)
    return table((*head, *(("on fresh seeds",) if seen else ()), "how sure"), lines)


def _likely(guide: Guide) -> str:
    worse = any("likely worse" in row.safe for row in guide.heuristics.rows)
    return "; *likely worse*: the same, with an interval wholly on the worse side" if worse else ""


def _against(guide: Guide) -> str:
    """Name what a row's levels are compared with."""
    if guide.heuristics.use != "baseline":
        return "more than the value to use"
    lowest = any(row.against == "lowest" and row.levels for row in guide.heuristics.rows)
    return "more than lambda 0 (other knobs: than their lowest level)" if lowest else "more than lambda 0"


def table_notes(guide: Guide) -> str:
    """Explain the table's words, those that occur in it."""
    return " ".join(_notes(guide))


def _notes(guide: Guide) -> Iterator[str]:
    heuristics, margin = guide.heuristics, percent(guide.seeds.margin)
    if heuristics.use != "baseline" and any(comparison.outdone for comparison in guide.controls):
        yield "For those who want dispersion anyway: a control without it gains more."
    if heuristics.reason:
        yield f"Safe ranges and steps are not known: {heuristics.reason}."
    elif any(row.levels for row in heuristics.rows):
        yield (
            f"*Safe*: costs at most {margin} {_against(guide)}, with a probability of 90 % or more; the 95 % interval "
            f"beside it is stricter. *Open*: shown neither to be safe nor to cost more{_likely(guide)}. A level that "
            "is not listed costs more. Ranges and changes come from a model fitted to the whole screen, its response "
            "surface: they are hints, not claims. In 95 of 100 studies all intervals of a row are right together."
        )
    if heuristics.use == "baseline" and any(row.against == "lowest" and row.levels for row in heuristics.rows):
        yield "At lambda 0 the other knobs do nothing; their rows compare levels on average over all settings."
    if any("◦" in row.safe for row in heuristics.rows):
        yield (
            "◦ *saturated*: the loss spent more than 10 % of steps at its floor, where it has no gradient, so that "
            "blocks and taus cannot be told apart."
        )
