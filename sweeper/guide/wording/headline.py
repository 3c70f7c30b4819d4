"""The verdict in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sweeper.guide.schema.statements import Claim, VerdictKind
from sweeper.guide.wording.advice import times_as_much
from sweeper.guide.wording.findings import Findings, effect_of
from sweeper.records import FINAL_STATES, TrialState
from sweeper.text.numbers import counted, percent, signed
from sweeper.text.sentences import capital

NONE_HOPED = "No setting tested looked better than lambda 0 in the screen"


def decided(findings: Findings) -> tuple[VerdictKind, str]:
    """Return in one sentence what the fresh seeds decided."""
    helps, hurts, margin = *_confirmed(findings), percent(findings.seeds.margin)
    on = _on(findings, helps[:1] or hurts or findings.claims)
    if helps:
        more = f" (and {counted(len(helps) - 1, 'more setting')})" if len(helps) > 1 else ""
        within = f", which is less than the margin of {margin}" if helps[0].within_margin else ""
        name = capital(findings.label(helps[0].key))
        says = f"{name} helps{more}: {findings.metric} {effect_of(helps[0])}, confirmed {on}{within}"
        rival = findings.rival(helps[0])
        if rival and rival.outdone:
            control = f"a {_kind(findings, rival.control)}, {rival.control}"
            return "helps like a control", f"{says}; but {control}, {times_as_much(rival)}."
        if rival:
            return (
                "helps like a control",
                f"{says}; but it is not shown to be better than a {_kind(findings, rival.control)}, {rival.control}.",
            )
        return "helps", f"{says}."
    if hurts and len(hurts) == len(findings.claims):
        if len(hurts) == 1:
            return "hurts", f"The setting tested does not help: it is confirmed to hurt, {on}."
        return "hurts", f"None of the {len(hurts)} settings tested helps: all are confirmed to hurt, {on}."
    if not hurts and all(claim.standing == "equivalent" for claim in findings.claims):
        says = f"No setting matters for {findings.metric}: all tested {on} are equivalent to lambda 0 within {margin}."
        return "equivalent", says
    # Each claim has the direction that the screen saw: where that is harm everywhere, no gain was looked for.
    unhoped = all(claim.direction == "higher" for claim in findings.claims)
    if hurts:
        none = NONE_HOPED if unhoped else "No evidence that any setting helps"
        return "hurts", f"{none}; {_names(findings, hurts)} confirmed to hurt, {on}."
    if unhoped:
        return (
            "no evidence",
            f"{NONE_HOPED}, and none is confirmed to hurt, {on}.",
        )
    return "no evidence", f"No evidence that any setting helps or hurts, {on}."


def _kind(findings: Findings, control: str) -> str:
    return findings.arm(control).removesuffix(f" {control}")


def _on(findings: Findings, claims: Iterable[Claim]) -> str:
    """Describe on how many fresh seeds these claims were measured: fewer than ran if some failed, or in looks."""
    ran = len(findings.confirming.seeds) if findings.confirming else 0
    comparable = [claim for claim in claims if claim.standing != "not comparable"]
    measured = sorted({claim.change.n if claim.change else 0 for claim in comparable or claims})
    least, most = measured[0], measured[-1]
    if least == ran or (least == most and findings.known.looks):
        return f"on {counted(most, 'fresh seed')}"
    number = str(most) if least == most else f"{least} to {most}"
    return f"on {number} fresh seeds" if findings.known.looks else f"on {number} of {counted(ran, 'fresh seed')}"


def _confirmed(findings: Findings) -> tuple[list[Claim], list[Claim]]:
    return findings.standing("confirmed helps"), findings.standing("confirmed hurts")


def _names(findings: Findings, hurts: list[Claim]) -> str:
    if len(hurts) > 2:
        return f"{len(hurts)} of {len(findings.claims)} are"
    names = sorted(f"{_marked(findings, claim) or findings.label(claim.key)}{_by(claim)}" for claim in hurts)
    return f"{' and '.join(names)} {'is' if len(hurts) == 1 else 'are'}"


def _by(claim: Claim) -> str:
    return f" ({signed(claim.change.mean)} %)" if claim.change else ""


def _marked(findings: Findings, claim: Claim) -> str:
    mark = findings.known.cells[claim.key].mark
    return f'"{mark}"' if mark else ""


def nothing_measured(findings: Findings) -> str:
    """Say in one sentence why there is no figure: trials that diverged or failed lead."""
    rows = [result for result in (findings.main.baseline, *findings.main.rows) if result]
    ended = Counter[TrialState]()
    for one in rows:
        ended.update({state: count for state, count in one.states.items() if state in FINAL_STATES})
    if not ended.total():
        return "Nothing measured yet: no trial has finished."
    said = ", ".join(f"{count} {state}" for state, count in ended.most_common())
    return f"Nothing was measured, not even lambda 0: of {counted(ended.total(), 'trial')} that ended {said}."


def undecided(findings: Findings) -> str:
    """Return in one sentence why nothing is claimed yet."""
    fresh = findings.confirming
    if fresh:
        states = [
            (state, count)
            for result in (fresh.baseline, *fresh.rows)
            if result
            for state, count in result.states.items()
        ]
        ended = sum(count for state, count in states if state in FINAL_STATES)
        return (
            f"Confirming, no claim yet: {counted(ended, 'trial')} on fresh seeds ended; claims wait for all of them, "
            "since stopping as soon as they look good would bias them."
        )
    tried, seeds = counted(len(findings.main.cells), "setting"), counted(len(findings.main.seeds), "seed")
    return f"Screening, no claim: {tried} on {seeds} can show what to look at next, not what helps."
