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


def rules(findings: Findings) -> tuple[Rule, ...]:
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
    return tuple(rule for part in parts for rule in part(findings))


def _first(findings: Findings) -> Iterator[Rule]:
    if findings.standing("confirmed helps"):
        return  # said with its claim
    if bet := _bet(findings):
        yield Rule(
            rule=f"Keep lambda 0, or bet on {findings.label(bet.key)}",
            evidence=f"no gain of a setting is confirmed; its mean gain on fresh seeds is "
            f"{percent(findings.seeds.margin)} or more ({claimed(bet)}), and where nothing has an effect, such a bet "
            f"is named in {percent(BET_ALPHA)} of studies at most",
            grade="suggestive",
        )
    else:
        seen = "no gain of a setting is confirmed on fresh seeds" if findings.finished else "no gain has been shown"
        rule = "Keep lambda 0" if findings.finished else "Until a setting is confirmed, keep lambda 0"
        yield Rule(rule=rule, evidence=seen, grade="none")


def _bet(findings: Findings) -> Claim | None:
    chosen = findings.recommendation
    return of(findings.claims, chosen.first) if chosen and chosen.why == "bet" else None


def _claims(findings: Findings) -> Iterator[Rule]:
    bet, arm = _bet(findings), _outdoes(findings)
    if arm:
        best = findings.standing("confirmed helps")[0]
        yield Rule(rule=use(findings, best), evidence=_evidence(findings, arm), grade="confirmed")
    for standing in get_args(Standing):
        for claim in findings.standing(standing):
            if claim is not bet:  # that is the first rule
                rule, grade = advice(findings, claim)
                yield Rule(rule=rule, evidence=_evidence(findings, claim), grade=grade)


def _outdoes(findings: Findings) -> Claim | None:
    """The control arm that gains more than the best setting, and is advised in its place."""
    helps = findings.standing("confirmed helps")
    rival = findings.rival(helps[0]) if helps else None
    arms = (claim for claim in findings.side_claims if rival and rival.outdone and claim.label == rival.control)
    return next(arms, None)


def _evidence(findings: Findings, claim: Claim) -> str:
    if claim.standing == "not comparable":
        return claim.reason
    p = "" if claim.p is None else f", p = {claim.p:.2g}"
    within = f", equivalent within {percent(findings.seeds.margin)}" if claim.within_margin else ""
    return f"{claimed(claim)} fresh seeds{p if claim.confirmed else ''}{within}"


def _set(findings: Findings) -> Iterator[Rule]:
    chosen = findings.recommendation
    if chosen is None or len(findings.main.cells) < 2:
        return
    members = [key for key in chosen.members if not costs_by_table(findings, key)]
    names = [findings.label(key) for key in members]
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
            evidence=f"{len(names)} of {len(findings.main.cells) + 1} are not shown to be worse than another"
            f"{aside}{stopped}",
            grade="95 % set",
        )


def _confirm(findings: Findings) -> Iterator[Rule]:
    if findings.confirming is not None:
        return
    hopeful = candidates(findings)
    if not hopeful and findings.worth_confirming:
        cells = {result.key: result for result in findings.main.cells}
        best = cells[findings.worth_confirming[0]]
        seen = f"the most hopeful of the screen is {best.cell.label}: {changed(best)}"
        rule = "Confirm no setting of this grid in the hope of a gain; try weaker settings first"
        yield Rule(rule=rule, evidence=seen, grade="screening")
    for one in hopeful:
        yield Rule(rule=f"Worth confirming: {one.cell.label}", evidence=changed(one), grade="screening")


def _saturation(findings: Findings) -> Iterator[Rule]:
    flagged = [result for result in findings.main.cells if result.saturated]
    if flagged:
        most = max(flagged, key=lambda one: one.floor_share or 0.0)
        yield Rule(
            rule=f"Do not compare blocks or tau among the {counted(len(flagged), 'saturated setting')} (◦)",
            evidence=f"up to {share(most.floor_share)} of steps at the floor of the loss, where it has no gradient",
            grade="screening",
        )


def _controls(findings: Findings) -> Iterator[Rule]:
    arms = [claim for claim in findings.side_claims if findings.known.cells[claim.key].role == "control"]
    advised = _outdoes(findings)
    for claim in arms:
        if claim.confirmed and claim is not advised:
            name = f"the {findings.arm(claim.label)}"
            rule = f"Do not use {name}"
            if claim.standing == "confirmed helps":
                # Not as a second recommendation beside a setting that helps: nobody measured both together.
                rule = f"T{name[1:]} helps as well" if findings.standing("confirmed helps") else f"Use {name}"
            yield Rule(rule=rule, evidence=_evidence(findings, claim), grade="confirmed")
    measured = [result for result in findings.main.controls if result.change]
    if measured and not arms:
        seen = "; ".join(f"{result.cell.label} {changed(result)}" for result in measured)
        kind = "plain control" if all(is_plain(result.cell) for result in measured) else "control"
        rule = f"Judge dispersion beside the {kind} arms, not only beside lambda 0"
        yield Rule(rule=rule, evidence=seen, grade="screening")


def _seeds(findings: Findings) -> Iterator[Rule]:
    audit = findings.seeds
    if audit.difference_sd is None:
        return
    shown = "no gain" if audit.detectable is None else f"a gain of {100 * audit.detectable:.2g} % or more"
    yield Rule(
        rule=f"To see a gain of {percent(audit.margin)}: {audit.needed_words}",
        evidence=f"{percent(audit.power)} power, by the screen's noise; {audit.planned} seeds ({audit.planning}) "
        f"detect {shown}",
        grade="screening",
    )


def _audits(findings: Findings) -> Iterator[Rule]:
    if findings.proxy.gate.passed is False:
        yield Rule(rule="Do not trust the proxy's order", evidence=findings.proxy.gate.says, grade="screening")
    if findings.pruning.gate.passed is False:
        yield Rule(rule="Run the screen without a pruner", evidence=findings.pruning.gate.says, grade="screening")
    if findings.standing("confirmed helps") and findings.health.gate.passed is False:
        yield Rule(
            rule="Check that the gain is not one of larger features alone: sweep tau relative, or disperse directions",
            evidence=findings.health.gate.says,
            grade="screening",
        )
