"""What in a guide's heuristics table, rules and verdict may not stand beside each other."""

from __future__ import annotations

import re

from sweeper.guide.schema.guide import Guide
from sweeper.study.knobs import KNOBS, level


def contradictions(guide: Guide) -> list[str]:
    """Return what contradicts what, in words; empty where the guide speaks with one voice."""
    return [*_use(guide), *_avoided(guide), *_harmed(guide), *_length(guide)]


def _rules(guide: Guide, pattern: str) -> list[str]:
    return [found[1] for one in guide.rules if (found := re.fullmatch(pattern, one.rule))]


def _use(guide: Guide) -> list[str]:
    cells = {one.key: one.cell for stage in guide.stages for one in stage.cells}
    rules = _rules(guide, r"(?:Use|If it has to be dispersion, use) ((?!the (?:plain control|control arm)).*)")
    if guide.heuristics.use == "baseline":
        found = [f"lambda 0 in the table, but the rule: Use {rule}" for rule in rules]
        return found + [f"lambda 0, but {row.knob} {row.use}" for row in guide.heuristics.rows if _sets(row.use)]
    label = cells[guide.heuristics.use].label
    return [f"{label} in the table, but the rules: {rules}"] if len(rules) != 1 or label not in rules[0] else []


def _sets(use: str) -> bool:
    return use not in ("0", "not used at lambda 0")


def _avoided(guide: Guide) -> list[str]:
    found = []
    for row in guide.heuristics.rows:
        # Without a surface the table knows of no level, but of a lambda that was tested on fresh seeds.
        known = {one.level for one in row.levels if one.within is not None}
        known |= _tested(guide) if row.knob == "lambda" else set()
        fine = {*row.having("use", "safe"), *(known & {*row.having("open")})}
        for named in _rules(guide, rf"Avoid {row.words} (.*)"):
            found += [f"avoid {row.knob} {one}, which is fine" for one in {*named.split(", ")} & fine]
        if row.knob == "lambda":
            for limit in _rules(guide, r"Keep lambda below (.*)"):
                found += [f"lambda {one} is fine, keep below {limit}" for one in fine if float(one) >= float(limit)]
        if _rules(guide, rf"({row.words}) hardly matters.*"):
            found += [f"{row.knob} hardly matters, but {one} costs" for one in row.having("costs") if one != "0"]
    return found


def _tested(guide: Guide) -> set[str]:
    lam = next(knob for knob in KNOBS if knob.name == "lambda")
    cells = {one.key: one.cell.dispersion for stage in guide.stages for one in stage.cells}
    return {level(lam.of(cells[claim.key]), guide.places) for claim in guide.claims}


def _harmed(guide: Guide) -> list[str]:
    """A setting that rules out may not be what the table's levels amount to, nor one at a lambda called harmless."""
    cells = {one.key: one.cell.dispersion for stage in guide.stages for one in stage.cells}
    row = guide.heuristics.row("lambda")
    if row is None or guide.heuristics.use != "baseline":
        return []
    hurt = [one for one in guide.claims if one.standing == "confirmed hurts" and not one.within_margin]
    knob = next(knob for knob in KNOBS if knob.name == "lambda")
    levels = {level(knob.of(cells[one.key]), guide.places) for one in hurt}
    return [f"lambda {one} is called safe, and a setting there hurts" for one in levels & {*row.having("safe")}]


def _length(guide: Guide) -> list[str]:
    return ["the verdict has more than five sentences"] if len(guide.verdict.points) > 4 else []
