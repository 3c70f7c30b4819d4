"""Rules about knobs that contradict no setting that is still open."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sweeper.guide.analysis.heuristics import OFF
from sweeper.guide.analysis.knob_effects import level_of
from sweeper.guide.analysis.knob_pairs import partners
from sweeper.guide.schema.heuristics import Heuristic, LevelCost
from sweeper.guide.schema.statements import KnobLevel, Rule
from sweeper.guide.wording.findings import Findings, claimed, comparable, held_open, is_comparable, written
from sweeper.records import BASELINE_KEY
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, in_words, level
from sweeper.text.numbers import counted, percent


def lambda_rules(findings: Findings) -> Iterator[Rule]:
    """Extend confirmed harm to larger lambda, where neither fresh seeds nor the screen contradict that.

    No rule advises against a setting that cannot be distinguished from the best.
    """
    # A setting in other units of tau, or of another variant, says nothing of the study's own lambdas.
    judged = comparable(findings)
    lams = {claim.key: findings.known.cells[claim.key].dispersion.lam for claim in judged}
    cells = [result for result in findings.main.cells if is_comparable(findings, result.key)]
    hurts = [claim for claim in findings.standing("confirmed hurts") if claim.key in lams]
    if not hurts or len({result.cell.dispersion.lam for result in cells}) < 2:
        return
    weakest = min(hurts, key=lambda claim: lams[claim.key])
    lam = lams[weakest.key]
    above = [result for result in cells if result.cell.dispersion.lam >= lam]
    worse = [result for result in above if (result.change and result.change.mean > 0) or result.mean is None]
    fresh = [claim for claim in judged if lams[claim.key] >= lam]
    open_still = any(result.key in hopeful_settings(findings) for result in above)
    hurt = all(claim.standing == "confirmed hurts" for claim in fresh)
    row = findings.heuristics.row(LAMBDA.name)
    # The table may hold as harmless, or open, what averages above the baseline.
    open_still |= any(float(level) >= lam for level in (row.having("safe", "open") if row else ()))
    # Where the table knows of a lower limit, it gives it.
    dear = [float(level) for level in (row.having("costs") if row else ()) if level != OFF]
    lower = not findings.heuristics.reason and bool(dear) and min(dear) < lam
    if len(worse) == len(above) > 1 and hurt and not open_still and not lower:
        others = "" if len(fresh) == len(above) else "; the others averaged above the baseline or were stopped"
        yield Rule(
            rule=f"Keep lambda below {lam:g}",
            evidence=f"{len(fresh)} of {counted(len(above), 'setting')} with lambda {lam:g} or more confirmed to hurt "
            f"({weakest.label}: {claimed(weakest)}){others}",
            grade="confirmed" if len(fresh) == len(above) else "screening",
        )


def hopeful_settings(findings: Findings) -> set[str]:
    """The settings that a guide holds open, the recommended set's among them."""
    members = findings.recommendation.members if findings.recommendation else ()
    return {*(key for key in members if not costs_by_table(findings, key)), *held_open(findings)}


def costs_by_table(findings: Findings, key: str) -> bool:
    """Whether the heuristics table speaks against a setting: one of its levels costs more than the margin."""
    return any(_level_in(findings, row, key) in row.having("costs") for row in findings.heuristics.rows)


def _level_in(findings: Findings, row: Heuristic, key: str) -> str:
    """Name the level of a row that a setting has; of a continuous knob the nearest one. Empty where it has none."""
    knob = next(knob for knob in KNOBS if knob.name == row.knob)
    value = knob.of(findings.known.cells[key].dispersion)
    if value is None:
        return ""
    name = level(value, findings.record.study.recipe.model.taps)
    numbers = [level_cost.level for level_cost in row.levels if level_cost.level != OFF]
    if knob not in (LAMBDA, TAU) or name in numbers or not numbers:
        return name
    return min(numbers, key=lambda one: abs(math.log(float(one) / value)))


def interaction_rules(findings: Findings) -> Iterator[Rule]:
    """Say that pairs of knobs that interact in the screen must be chosen together."""
    tested = findings.interaction
    if tested.rejects:
        yield Rule(
            rule="Choose block and tau together: the best tau depends on the block",
            evidence=f"F({tested.df}, {tested.df_residual}) = {tested.f:.3g}, "
            f"p = {tested.p if tested.adjusted is None else tested.adjusted:.2g}",
            grade="screening",
        )
    for pair in findings.pairs:
        if pair.seen and not (tested.rejects and {*pair.knobs} == {BLOCK.name, TAU.name}):
            one, other = map(in_words, pair.knobs)
            yield Rule(
                rule=f"Choose {one} and {other} together: in the screen the effect of one depends on the other",
                evidence=f"F({pair.df}, {pair.df_residual}) = {pair.f:.3g}, p = {pair.adjusted:.2g} "
                f"(Holm over {counted(_family(findings), 'pair')})",
                grade="screening",
            )


def _family(findings: Findings) -> int:
    return sum(pair.p is not None for pair in findings.pairs)


def knob_rules(findings: Findings) -> Iterator[Rule]:
    """Advise against levels that cost too much, or say that a knob hardly matters, unless another one decides that."""
    # Fresh seeds that show a difference overrule a screen that shows none.
    disputed = bool(
        findings.standing("confirmed hurts") and (findings.standing("confirmed helps") or any(lambda_rules(findings)))
    )
    if not findings.heuristics.reason:
        yield from _by_table(findings, disputed)
        return
    for knob in findings.knobs:
        open_keys = hopeful_settings(findings)
        if knob.name == LAMBDA.name:
            # As in the table: a lambda at which fresh seeds show no harm is not ruled out by the screen.
            open_keys |= {claim.key for claim in findings.claims if claim.standing != "confirmed hurts"}
        open_levels = {level_of(findings.known, key, knob.name) for key in open_keys if key != BASELINE_KEY}
        lowest = next(knob_level for knob_level in knob.levels if knob_level.reach == "lowest")
        others = [knob_level for knob_level in knob.levels if knob_level is not lowest]
        if all(knob_level.reach == "within the margin" for knob_level in others):
            if disputed or partners(findings.pairs, knob.name):
                continue
            says = f"{knob.words} hardly matters here: all levels within {percent(findings.seeds.margin)}"
            yield _knob(says, lowest, others)
        elif beyond := [
            knob_level
            for knob_level in others
            if knob_level.reach == "beyond the margin" and knob_level.level not in open_levels
        ]:
            names = ", ".join(knob_level.level for knob_level in beyond)
            yield _knob(f"Avoid {knob.words} {names}", lowest, beyond)


def _by_table(findings: Findings, disputed: bool) -> Iterator[Rule]:
    hopeful = [key for key in hopeful_settings(findings) if key != BASELINE_KEY]
    for row in findings.heuristics.rows:
        taken = {_level_in(findings, row, key) for key in hopeful}
        dear = [
            level_cost
            for level_cost in row.levels
            if level_cost.reach == "costs" and level_cost.level not in (OFF, *taken)
        ]
        seen = "; ".join(
            f"{level_cost.level}: {written(level_cost.cost)}" for level_cost in dear[:4] if level_cost.cost
        )
        if dear and row.knob == LAMBDA.name:
            if not any(lambda_rules(findings)):
                yield Rule(
                    rule=_weaker(row, dear), evidence=f"by the table: {seen or 'fresh seeds'}", grade="screening"
                )
        elif dear:
            names = ", ".join(level_cost.level for level_cost in dear)
            yield Rule(
                rule=f"Avoid {row.words} {names}", evidence=f"by the table: {seen or 'fresh seeds'}", grade="screening"
            )
        elif (
            len(row.levels) > 1
            and len(row.having("safe")) == len(row.levels)
            and not disputed
            and not partners(findings.pairs, row.knob)
        ):
            says = f"{row.words} hardly matters here: all levels within {percent(findings.seeds.margin)}"
            yield Rule(
                rule=says, evidence=f"by the table: {row.safe or ', '.join(row.having('safe'))}", grade="screening"
            )


def _weaker(row: Heuristic, dear: list[LevelCost]) -> str:
    """Advise against lambdas: from one on, where all above it cost as well."""
    if row.levels[-len(dear) :] == tuple(dear):
        return f"Keep lambda below {dear[0].level}"
    return f"Avoid lambda {', '.join(level_cost.level for level_cost in dear)}"


def _knob(rule: str, lowest: KnobLevel, levels: list[KnobLevel]) -> Rule:
    seen = "; ".join(f"{knob_level.level}: {written(knob_level.change)}" for knob_level in levels[:4])
    evidence = f"against the lowest level, {lowest.level}, over all else: {seen}"
    return Rule(rule=rule, evidence=evidence, grade="screening")
