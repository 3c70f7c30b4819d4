"""The verdict in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sweeper.guide.schema.statements import Claim, VerdictKind
from sweeper.guide.wording.advice import times_as_much
from sweeper.guide.wording.findings import Findings, effect_of
from sweeper.records import FINAL_STATES, TrialState
from sweeper.text.numbers import counted, percent
from sweeper.text.sentences import capital

NONE_HOPED = "No setting tested looked better than lambda 0 in the screen"


def decided(found: Findings) -> tuple[VerdictKind, str]:
    """Return in one sentence what the fresh seeds decided."""
    helps, hurts, margin = *_confirmed(found), percent(found.seeds.margin)
    on = _on(found, helps[:1] or hurts or found.claims)
    if helps:
        more = f" (and {counted(len(helps) - 1, 'more setting')})" if len(helps) > 1 else ""
        within = f", which is less than the margin of {margin}" if helps[0].within_margin else ""
        name = capital(found.label(helps[0].key))
        says = f"{name} helps{more}: {found.metric} {effect_of(helps[0])}, confirmed {on}{within}"
        rival = found.rival(helps[0])
        if rival and rival.outdone:
            control = f"a {_kind(found, rival.control)}, {rival.control}"
            return "helps like a control", f"{says}; but {control}, {times_as_much(rival)}."
        if rival:
            return (
                "helps like a control",
                f"{says}; but it is not shown to be better than a {_kind(found, rival.control)}, {rival.control}.",
            )
        return "helps", f"{says}."
    if hurts and len(hurts) == len(found.claims):
        if len(hurts) == 1:
            return "hurts", f"The setting tested does not help: it is confirmed to hurt, {on}."
        return "hurts", f"None of the {len(hurts)} settings tested helps: all are confirmed to hurt, {on}."
    if not hurts and all(claim.standing == "equivalent" for claim in found.claims):
        says = f"No setting matters for {found.metric}: all tested {on} are equivalent to lambda 0 within {margin}."
        return "equivalent", says
    # Each claim has the direction that the screen saw: where that is harm everywhere, no gain was looked for.
    unhoped = all(claim.direction == "higher" for claim in found.claims)
    if hurts:
        none = (
            "No setting looked better than lambda 0 in the screen" if unhoped else "No evidence that any setting helps"
        )
        return "hurts", f"{none}; {_names(found, hurts)} confirmed to hurt, {on}."
    if unhoped:
        return (
            "no evidence",
            f"{NONE_HOPED}, and none is confirmed to hurt, {on}.",
        )
    return "no evidence", f"No evidence that any setting helps or hurts, {on}."


def _kind(found: Findings, control: str) -> str:
    return found.arm(control).removesuffix(f" {control}")


def _on(found: Findings, claims: Iterable[Claim]) -> str:
    """Describe on how many fresh seeds these claims were measured: fewer than ran if some failed, or in looks."""
    ran = len(found.confirming.seeds) if found.confirming else 0
    comparable = [claim for claim in claims if claim.standing != "not comparable"]
    measured = sorted({claim.change.n if claim.change else 0 for claim in comparable or claims})
    least, most = measured[0], measured[-1]
    if least == ran or (least == most and found.known.looks):
        return f"on {counted(most, 'fresh seed')}"
    number = str(most) if least == most else f"{least} to {most}"
    return f"on {number} fresh seeds" if found.known.looks else f"on {number} of {counted(ran, 'fresh seed')}"


def _confirmed(found: Findings) -> tuple[list[Claim], list[Claim]]:
    return found.standing("confirmed helps"), found.standing("confirmed hurts")


def _names(found: Findings, hurts: list[Claim]) -> str:
    if len(hurts) > 2:
        return f"{len(hurts)} of {len(found.claims)} are"
    names = sorted(_marked(found, claim) or found.label(claim.key) for claim in hurts)
    return f"{' and '.join(names)} {'is' if len(hurts) == 1 else 'are'}"


def _marked(found: Findings, claim: Claim) -> str:
    mark = found.known.cells[claim.key].mark
    return f'"{mark}"' if mark else ""


def nothing_measured(found: Findings) -> str:
    """Say in one sentence why there is no figure: trials that diverged or failed lead."""
    rows = [one for one in (found.main.baseline, *found.main.rows) if one]
    ended = Counter[TrialState]()
    for one in rows:
        ended.update({state: count for state, count in one.states.items() if state in FINAL_STATES})
    if not ended.total():
        return "Nothing measured yet: no trial has finished."
    said = ", ".join(f"{count} {state}" for state, count in ended.most_common())
    return f"Nothing was measured, not even lambda 0: of {counted(ended.total(), 'trial')} that ended {said}."


def undecided(found: Findings) -> str:
    """Return in one sentence why nothing is claimed yet."""
    fresh = found.confirming
    if fresh:
        states = [(state, count) for one in (fresh.baseline, *fresh.rows) if one for state, count in one.states.items()]
        ended = sum(count for state, count in states if state in FINAL_STATES)
        return (
            f"Confirming, no claim yet: {counted(ended, 'trial')} on fresh seeds ended; claims wait for all of them, "
            "since stopping as soon as they look good would bias them."
        )
    tried, seeds = counted(len(found.main.cells), "setting"), counted(len(found.main.seeds), "seed")
    return f"Screening, no claim: {tried} on {seeds} can show what to look at next, not what helps."
