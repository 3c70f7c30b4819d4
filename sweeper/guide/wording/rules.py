"""Rules of what to do, each with its evidence and grade, strongest first; all hold only within the study's scope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from sweeper.guide.analysis.confirm_test import of
from sweeper.guide.schema.statements import Claim, Rule, Standing
from sweeper.guide.wording.advice import advice, use
from sweeper.guide.wording.arms import is_plain
from sweeper.guide.wording.findings import Findings, candidates, changed, claimed, listed
from sweeper.guide.wording.knob_rules import costs_by_table, interaction_rules, knob_rules, lambda_rules
from sweeper.statistics.error_budget import BET_ALPHA
from sweeper.text.numbers import counted, percent, share


def rules(found: Findings) -> tuple[Rule, ...]:
    """Return what to do now, strongest first."""
    parts = (
        _first,
        _claims,
        lambda_rules,
        _set,
        interaction_rules,
        knob_rules,
        _confirm,
        _saturation,
        _controls,
        _seeds,
        _audits,
    )
    return tuple(rule for part in parts for rule in part(found))


def _first(found: Findings) -> Iterator[Rule]:
    if found.standing("confirmed helps"):
        return  # said with its claim
    if bet := _bet(found):
        yield Rule(
            rule=f"Keep lambda 0, or bet on {found.label(bet.key)}",
            evidence=f"no gain of a setting is confirmed; its mean gain on fresh seeds is "
            f"{percent(found.seeds.margin)} or more ({claimed(bet)}), and where nothing has an effect, such a bet is "
            f"named in {percent(BET_ALPHA)} of studies at most",
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


def _set(found: Findings) -> Iterator[Rule]:
    chosen = found.recommendation
    if chosen is None or len(found.main.cells) < 2:
        return
    members = [key for key in chosen.members if not costs_by_table(found, key)]
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
            rule=f"Any of these may be the best: {listed(names, 6)}; the simplest is {names[0]}",
            evidence=f"{len(names)} of {len(found.main.cells) + 1} are not shown to be worse than another"
            f"{aside}{stopped}",
            grade="95 % set",
        )


def _confirm(found: Findings) -> Iterator[Rule]:
    if found.confirming is not None:
        return
    hopeful = candidates(found)
    if not hopeful and found.worth_confirming:
        cells = {one.key: one for one in found.main.cells}
        best = cells[found.worth_confirming[0]]
        seen = f"the most hopeful of the screen is {best.cell.label}: {changed(best)}"
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
                # Not as a second recommendation beside a setting that helps: nobody measured both together.
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
    shown = "no gain" if audit.detectable is None else f"a gain of {100 * audit.detectable:.2g} % or more"
    yield Rule(
        rule=f"To see a gain of {percent(audit.margin)}: {audit.needed_words}",
        evidence=f"{percent(audit.power)} power, by the screen's noise; {audit.planned} seeds ({audit.planning}) "
        f"detect {shown}",
        grade="screening",
    )


def _audits(found: Findings) -> Iterator[Rule]:
    if found.proxy.gate.passed is False:
        yield Rule(rule="Do not trust the proxy's order", evidence=found.proxy.gate.says, grade="screening")
    if found.pruning.gate.passed is False:
        yield Rule(rule="Run the screen without a pruner", evidence=found.pruning.gate.says, grade="screening")
    if found.standing("confirmed helps") and found.health.gate.passed is False:
        yield Rule(
            rule="Check that the gain is not one of larger features alone: sweep tau relative, or disperse directions",
            evidence=found.health.gate.says,
            grade="screening",
        )
