"""A guide's advice on one setting, in words that verdict and rules share, so that they cannot contradict each other."""

from __future__ import annotations

from sweeper.guide.schema.statements import Claim, ControlComparison, Grade
from sweeper.guide.wording.findings import Findings, effect_of, listed
from sweeper.text.numbers import percent


def use(findings: Findings, claim: Claim) -> str:
    """Recommend a setting that helps, together with a control that rivals it, if there is one."""
    rival = findings.rival(claim)
    if rival is None:
        return f"Use {findings.label(claim.key)}"
    if rival.outdone:
        return f"Use the {findings.arm(rival.control)}, which {times_as_much(rival)} as {findings.label(claim.key)}"
    return (
        f"Use {findings.label(claim.key)} or the {findings.arm(rival.control)}: the setting is not shown to be better"
    )


def times_as_much(rival: ControlComparison) -> str:
    """Write how much more a control gains than the setting it outdoes: 'gains 2.9 times as much'."""
    times = f"{rival.times or 1.0:.2g}"
    return f"gains {'twice' if times == '2' else f'{times} times'} as much"


def advice(findings: Findings, claim: Claim) -> tuple[str, Grade]:
    """Return what to do about a setting that was tested on fresh seeds, and how sure that is."""
    name = findings.label(claim.key)
    match claim.standing:
        case "confirmed helps":
            return f"{_helps(findings, claim)}{_beside(findings, claim)}", "confirmed"
        case "confirmed hurts":
            return f"Do not use {name}", "confirmed"
        case "equivalent":
            within = f"{findings.metric} stays within {percent(findings.seeds.margin)}"
            if findings.recommendation and claim.key not in findings.recommendation.members:
                return f"{name}: {within}, but another is shown to be better", "equivalent"
            return f"{name} may be used or left out: {within}{_beside(findings, claim)}", "equivalent"
        case "suggestive":
            effect = "hurt" if claim.change and claim.change.mean > 0 else "help"
            return f"{name} may {effect}: look again with more seeds", "suggestive"
        case "no evidence either way":
            return f"{name}: no conclusion", "none"
        case "not comparable":
            return f"{name}: not comparable", "none"


def _helps(findings: Findings, claim: Claim) -> str:
    if findings.standing("confirmed helps")[0].key != claim.key:
        return f"{findings.label(claim.key)} helps as well"
    rival = findings.rival(claim)
    # A confirmed effect of the setting must not read as a confirmed effect of the control.
    return (
        f"If it has to be dispersion, use {findings.label(claim.key)}"
        if rival and rival.outdone
        else use(findings, claim)
    )


def _beside(findings: Findings, claim: Claim) -> str:
    """Return a clause that names the other outcomes that are confirmed to worsen."""
    worse = [one for one in findings.side_claims if one.key == claim.key and one.standing == "confirmed hurts"]
    changes = (f"{findings.named(one.metric)} {effect_of(one)}" for one in worse if one.change)
    return f"; but confirmed to hurt: {listed(changes)}" if worse else ""
