"""What to do, as rules: each with its evidence and a grade, strongest first. All hold within the study's scope only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import get_args

from sweeper.guide.analysis.confirm_test import of
from sweeper.guide.analysis.heuristics import OFF
from sweeper.guide.analysis.knob_effects import level_of
from sweeper.guide.analysis.stage_table import BASELINE
from sweeper.guide.schema.heuristics import Heuristic, LevelCost
from sweeper.guide.schema.statements import Claim, KnobLevel, Rule, Standing
from sweeper.guide.wording.advice import advice, use
from sweeper.guide.wording.arms import is_plain
from sweeper.guide.wording.findings import Findings, candidates, changed, claimed, held_open, listed, written
from sweeper.study.knobs import BLOCK, KNOBS, LAMBDA, TAU, in_words, level
from sweeper.text.numbers import counted, percent, share


def rules(found: Findings) -> tuple[Rule, ...]:
    """Return what to do now, strongest first."""
    parts = (_first, _claims, _lambda, _set, _interaction, _knobs, _confirm, _saturation, _controls, _seeds, _audits)
    return tuple(rule for part in parts for rule in part(found))


def _first(found: Findings) -> Iterator[Rule]:
    if found.standing("confirmed helps"):
        return  # said with its claim
    if bet := _bet(found):
        yield Rule(
            rule=f"Keep lambda 0, or bet on {found.label(bet.key)}",
            evidence=f"no gain of a setting is confirmed; its mean gain on fresh seeds is "
            f"{percent(found.seeds.margin)} or more ({claimed(bet)}){found.lost(bet.key)}",
            grade="suggestive",
        )
    else:
        seen = "no gain of a setting is confirmed on fresh seeds" if found.finished else "no gain has been shown"
        rule = "Keep lambda 0" if found.finished else "Until a setting is confirmed, keep lambda 0"
        yield Rule(rule=rule, evidence=seen, grade="none")


def _bet(found: Findings) -> Claim | None:
    chosen = found.recommendation
    return of(found.claims, chosen.first) if chosen and chosen.why == "bet" else None


def _claims(found: Findings) -> Iterator[Rule]:
    bet, arm = _bet(found), _outdoes(found)
    if arm:
        best = found.standing("confirmed helps")[0]
        yield Rule(rule=use(found, best), evidence=_evidence(found, arm), grade="confirmed")
    for standing in get_args(Standing):
        for claim in found.standing(standing):
            if claim is not bet:  # that is the first rule
                rule, grade = advice(found, claim)
                yield Rule(rule=rule, evidence=_evidence(found, claim), grade=grade)


def _outdoes(found: Findings) -> Claim | None:
    """The control arm that gains more than the best setting, and is advised in its place."""
    helps = found.standing("confirmed helps")
    rival = found.rival(helps[0]) if helps else None
    arms = (claim for claim in found.side_claims if rival and rival.outdone and claim.label == rival.control)
    return next(arms, None)


def _evidence(found: Findings, claim: Claim) -> str:
    if claim.standing == "not comparable":
        return claim.reason
    p = "" if claim.p is None else f", p = {claim.p:.2g}"
    within = f", equivalent within {percent(found.seeds.margin)}" if claim.within_margin else ""
    return f"{claimed(claim)} fresh seeds{p if claim.confirmed else ''}{within}"


def _lambda(found: Findings) -> Iterator[Rule]:
    """Generalise what hurts to larger lambda, where neither fresh seeds nor the screen say anything else.

    What cannot be distinguished from the best is not advised against.
    """
    lams = {claim.key: found.known.cells[claim.key].dispersion.lam for claim in found.claims}
    hurts = found.standing("confirmed hurts")
    if not hurts or len({one.cell.dispersion.lam for one in found.main.cells}) < 2:
        return
    weakest = min(hurts, key=lambda claim: lams[claim.key])
    lam = lams[weakest.key]
    above = [one for one in found.main.cells if one.cell.dispersion.lam >= lam]
    worse = [one for one in above if (one.change and one.change.mean > 0) or one.mean is None]
    fresh = [claim for claim in found.claims if lams[claim.key] >= lam]
    open_still = any(one.key in _hopeful(found) for one in above)
    hurt = all(claim.standing == "confirmed hurts" for claim in fresh)
    row = found.heuristics.row(LAMBDA.name)
    # The table may hold as harmless, or open, what averages above the baseline.
    open_still |= any(float(level) >= lam for level in (row.having("safe", "open") if row else ()))
    # Where the table knows of a lower limit, it gives it.
    dear = [float(level) for level in (row.having("costs") if row else ()) if level != OFF]
    lower = not found.heuristics.reason and bool(dear) and min(dear) < lam
    if len(worse) == len(above) > 1 and hurt and not open_still and not lower:
        yield Rule(
            rule=f"Keep lambda below {lam:g}",
            evidence=f"{len(fresh)} of {counted(len(above), 'setting')} with lambda {lam:g} or more confirmed to hurt "
            f"({weakest.label}: {claimed(weakest)}); the others averaged above the baseline or were stopped",
            grade="confirmed" if len(fresh) == len(above) else "screening",
        )


def _hopeful(found: Findings) -> set[str]:
    """The settings that a guide holds open, the recommended set's among them."""
    members = found.recommendation.members if found.recommendation else ()
    return {*(key for key in members if not _costs(found, key)), *held_open(found)}


def _set(found: Findings) -> Iterator[Rule]:
    chosen = found.recommendation
    if chosen is None or len(found.main.cells) < 2:
        return
    members = [key for key in chosen.members if not _costs(found, key)]
    names = [found.label(key) for key in members]
    stopped = f"; {counted(chosen.stopped, 'setting')} stopped or diverged" if chosen.stopped else ""
    if chosen.unique:
        yield Rule(
            rule=f"The single best is {names[0]}",
            evidence=f"every other setting is shown to be worse{stopped}",
            grade="95 % set",
        )
    elif len(names) > 1:
        gone = len(chosen.members) - len(members)
        aside = f", nor are {gone} more, but a level of theirs costs too much by the table" if gone else ""
        yield Rule(
            rule=f"Cannot be distinguished from the best: {listed(names, 6)}; {names[0]} is the simplest",
            evidence=f"{len(names)} of {len(found.main.cells) + 1} are not shown to be worse than another"
            f"{aside}{stopped}",
            grade="95 % set",
        )


def _costs(found: Findings, key: str) -> bool:
    """Whether the heuristics table speaks against a setting: one of its levels costs more than the margin."""
    return any(_level_in(found, row, key) in row.having("costs") for row in found.heuristics.rows)


def _level_in(found: Findings, row: Heuristic, key: str) -> str:
    """Name the level of a row that a setting has; of a continuous knob the nearest one. Empty where it has none."""
    knob = next(knob for knob in KNOBS if knob.name == row.knob)
    value = knob.of(found.known.cells[key].dispersion)
    if value is None:
        return ""
    name = level(value, found.record.study.recipe.model.taps)
    numbers = [one.level for one in row.levels if one.level != OFF]
    if knob not in (LAMBDA, TAU) or name in numbers or not numbers:
        return name
    return min(numbers, key=lambda one: abs(math.log(float(one) / value)))


def _interaction(found: Findings) -> Iterator[Rule]:
    tested = found.interaction
    if tested.rejects:
        yield Rule(
            rule="Choose block and tau together: the best tau depends on the block",
            evidence=f"F({tested.df}, {tested.df_residual}) = {tested.f:.3g}, p = {tested.p:.2g}",
            grade="screening",
        )
    for pair in found.pairs:
        if pair.seen and not (tested.rejects and {*pair.knobs} == {BLOCK.name, TAU.name}):
            one, other = map(in_words, pair.knobs)
            yield Rule(
                rule=f"Choose {one} and {other} together: in the screen the effect of one depends on the other",
                evidence=f"F({pair.df}, {pair.df_residual}) = {pair.f:.3g}, p = {pair.adjusted:.2g} "
                f"(Holm over {counted(_family(found), 'pair')})",
                grade="screening",
            )


def _family(found: Findings) -> int:
    return sum(pair.p is not None for pair in found.pairs)


def _knobs(found: Findings) -> Iterator[Rule]:
    # A screen that sees no difference gives way to fresh seeds that do.
    disputed = bool(found.standing("confirmed hurts") and (found.standing("confirmed helps") or any(_lambda(found))))
    if not found.heuristics.reason:
        # One source: what the table says of a knob.
        yield from _by_table(found, disputed)
        return
    for knob in found.knobs:
        open_keys = _hopeful(found)
        if knob.name == LAMBDA.name:
            # As in the table: a lambda at which fresh seeds show no harm is not ruled out by the screen.
            open_keys |= {claim.key for claim in found.claims if claim.standing != "confirmed hurts"}
        open_levels = {level_of(found.known, key, knob.name) for key in open_keys if key != BASELINE}
        lowest = next(one for one in knob.levels if one.reach == "lowest")
        others = [one for one in knob.levels if one is not lowest]
        if all(one.reach == "within the margin" for one in others):
            if disputed:
                continue
            says = f"{knob.words} hardly matters here: all levels within {percent(found.seeds.margin)}"
            yield _knob(says, lowest, others)
        elif beyond := [one for one in others if one.reach == "beyond the margin" and one.level not in open_levels]:
            names = ", ".join(one.level for one in beyond)
            yield _knob(f"Avoid {knob.words} {names}", lowest, beyond)


def _by_table(found: Findings, disputed: bool) -> Iterator[Rule]:
    hopeful = [key for key in _hopeful(found) if key != BASELINE]
    for row in found.heuristics.rows:
        taken = {_level_in(found, row, key) for key in hopeful}
        dear = [one for one in row.levels if one.reach == "costs" and one.level not in (OFF, *taken)]
        seen = "; ".join(f"{one.level}: {written(one.cost)}" for one in dear[:4] if one.cost)
        if dear and row.knob == LAMBDA.name:
            if not any(_lambda(found)):
                yield Rule(
                    rule=_weaker(row, dear), evidence=f"by the table: {seen or 'fresh seeds'}", grade="screening"
                )
        elif dear:
            names = ", ".join(one.level for one in dear)
            yield Rule(
                rule=f"Avoid {row.words} {names}", evidence=f"by the table: {seen or 'fresh seeds'}", grade="screening"
            )
        elif len(row.levels) > 1 and len(row.having("safe")) == len(row.levels) and not disputed:
            says = f"{row.words} hardly matters here: all levels within {percent(found.seeds.margin)}"
            yield Rule(
                rule=says, evidence=f"by the table: {row.safe or ', '.join(row.having('safe'))}", grade="screening"
            )


def _weaker(row: Heuristic, dear: list[LevelCost]) -> str:
    """Advise against lambdas: from one on, where all above it cost as well."""
    if row.levels[-len(dear) :] == tuple(dear):
        return f"Keep lambda below {dear[0].level}"
    return f"Avoid lambda {', '.join(one.level for one in dear)}"


def _knob(rule: str, lowest: KnobLevel, levels: list[KnobLevel]) -> Rule:
    seen = "; ".join(f"{one.level}: {written(one.change)}" for one in levels[:4])
    evidence = f"against the lowest level, {lowest.level}, over all else: {seen}"
    return Rule(rule=rule, evidence=evidence, grade="screening")


def _confirm(found: Findings) -> Iterator[Rule]:
    if found.confirming is not None:
        return
    hopeful = candidates(found)
    if not hopeful and found.main.cells and found.main.count("above"):
        seen = f"{counted(found.main.count('above'), 'interval')} wholly above the baseline, no candidate left"
        rule = "Confirm no setting of this grid in the hope of a gain; try weaker settings first"
        yield Rule(rule=rule, evidence=seen, grade="screening")
    for one in hopeful:
        yield Rule(rule=f"Worth confirming: {one.cell.label}", evidence=changed(one), grade="screening")


def _saturation(found: Findings) -> Iterator[Rule]:
    flagged = [one for one in found.main.cells if one.saturated]
    if flagged:
        most = max(flagged, key=lambda one: one.floor_share or 0.0)
        yield Rule(
            rule=f"Do not compare blocks or tau among the {counted(len(flagged), 'saturated setting')} (◦)",
            evidence=f"up to {share(most.floor_share)} of steps at the floor of the loss, where it has no gradient",
            grade="screening",
        )


def _controls(found: Findings) -> Iterator[Rule]:
    arms = [claim for claim in found.side_claims if found.known.cells[claim.key].role == "control"]
    advised = _outdoes(found)
    for claim in arms:
        if claim.confirmed and claim is not advised:
            name = f"the {found.arm(claim.label)}"
            rule = f"Do not use {name}"
            if claim.standing == "confirmed helps":
                # Beside a setting that helps it is no second order: nobody measured both at once.
                rule = f"T{name[1:]} helps as well" if found.standing("confirmed helps") else f"Use {name}"
            yield Rule(rule=rule, evidence=_evidence(found, claim), grade="confirmed")
    measured = [one for one in found.main.controls if one.change]
    if measured and not arms:
        seen = "; ".join(f"{one.cell.label} {changed(one)}" for one in measured)
        kind = "plain control" if all(is_plain(one.cell) for one in measured) else "control"
        rule = f"Judge dispersion beside the {kind} arms, not only beside lambda 0"
        yield Rule(rule=rule, evidence=seen, grade="screening")


def _seeds(found: Findings) -> Iterator[Rule]:
    audit = found.seeds
    if audit.difference_sd is None:
        return
    shown = "no gain at all" if audit.detectable is None else f"a gain of {100 * audit.detectable:.2g} % or more"
    yield Rule(
        rule=f"To see a gain of {percent(audit.margin)}: {audit.needed_words}",
        evidence=f"{percent(audit.power)} power; {audit.planned} {audit.planning} show {shown}",
        grade="screening",
    )


def _audits(found: Findings) -> Iterator[Rule]:
    if found.proxy.gate.passed is False:
        yield Rule(rule="Do not trust the proxy's order", evidence=found.proxy.gate.says, grade="screening")
    if found.pruning.gate.passed is False:
        yield Rule(rule="Run the screen without a pruner", evidence=found.pruning.gate.says, grade="screening")
