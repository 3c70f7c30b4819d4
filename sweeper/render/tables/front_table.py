"""A guide's table of the front: every arm in every objective."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.guide.schema.front import FrontChange, FrontRow, Sure
from sweeper.guide.schema.guide import Guide
from sweeper.records import Stage
from sweeper.render.tables.guide_tables import MOST_ROWS, table
from sweeper.render.tables.table import Table
from sweeper.study.second_objectives import COSTS, FLOPS, SECONDS, objective_name
from sweeper.text import numbers

SEEDS: Mapping[Stage, str] = {"confirm": "fresh", "screen": "screen"}
COST_NOTES: Mapping[str, str] = {
    FLOPS: "; operations are counted, and those that differ by less than a step of 5 % are equal",
    SECONDS: "; times are of the fastest trial, in steps of 5 %, and no evidence: other load on the machine moves them",
}
SURE: Mapping[Sure, str] = {
    "better": "confirmed better in one, in none confirmed worse",
    "a trade": "a trade: better in one, worse in another",
    "dominated": "dominated: confirmed worse in one, worse or equivalent in the others",
    "worse in one": "confirmed worse in one, the others open",
    "open": "nothing confirmed",
}


def front_table(guide: Guide) -> Table:
    """Tabulate what each arm trades, fresh seeds first."""
    front = guide.front
    if front is None:
        return table((), ())
    metrics = [front_objective.metric for front_objective in front.objectives]
    controls = {result.key for result in guide.main.controls}
    rows = [
        (
            "lambda 0" if row.key == "baseline" else f"control: {row.label}" if row.key in controls else row.label,
            SEEDS[row.stage],
            *(_written(metric, own) for metric, own in zip(metrics, row.changes, strict=True)),
            {True: "yes", False: "no", None: "not compared"}[row.free],
            _sure(row),
        )
        for row in front.rows[:MOST_ROWS]
    ]
    named = (objective_name(metric, guide.distance) for metric in metrics)
    return table(("arm", "seeds", *named, "non-dominated by means", "against lambda 0"), rows)


def _written(metric: str, own: FrontChange) -> str:
    if own.level is not None:
        return _level(metric, own.level)
    if own.change is None:
        return own.standing or numbers.MISSING
    if metric in COSTS:
        return f"x {1 + own.change.mean:.2f}"
    if own.standing is None:
        return f"{numbers.signed(own.change.mean)} %"
    written = numbers.confirmed_change(own.change.mean, own.change.low, own.change.high, own.bound)
    return f"{written}: {own.standing}"


def _level(metric: str, level: float) -> str:
    if metric == FLOPS:
        return f"{numbers.figure(level / 1e12)} TFLOP"
    return f"{numbers.figure(level)} s" if metric == SECONDS else numbers.figure(level)


def _sure(row: FrontRow) -> str:
    if row.key == "baseline":
        return ""
    return SURE[row.sure] if row.sure else "screening, no claim"


def front_caption(guide: Guide) -> str:
    """Say how the table is read."""
    if guide.front is None:
        return "Several objectives."
    names = ", ".join(
        objective_name(front_objective.metric, guide.distance) for front_objective in guide.front.objectives
    )
    costs = {front_objective.metric for front_objective in guide.front.objectives}.intersection(COSTS)
    return (
        f"Several objectives ({names}): each arm's change to lambda 0, whose own figures stand in its row. An arm is "
        "non-dominated by its means if no other arm on these seeds is as good in every objective and better in one: a "
        "description. Only what is called confirmed is a claim, that of the tables on fresh seeds; a change without an "
        "interval is none. Of the screen only the non-dominated are listed"
        + "".join(COST_NOTES[metric] for metric in costs)
        + "."
    )
