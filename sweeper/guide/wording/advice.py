"""A guide's advice on one setting, in words that verdict and rules share, so that they cannot contradict each other."""

from __future__ import annotations

from sweeper.guide.schema.statements import Claim, ControlComparison, Grade
from sweeper.guide.wording.findings import Findings, effect_of, listed
from sweeper.text.numbers import percent


def use(found: Findings, claim: Claim) -> str:
    """Recommend a setting that helps, together with a control that rivals it, if there is one."""
    rival = found.rival(claim)
    if rival is None:
        return f"Use {found.label(claim.key)}"
    if rival.outdone:
        return f"Use the {found.arm(rival.control)}, which {times_as_much(rival)} as {found.label(claim.key)}"
    return f"Use {found.label(claim.key)} or the {found.arm(rival.control)}: the setting is not shown to be better"


def times_as_much(rival: ControlComparison) -> str:
    """Write how much more a control gains than the setting it outdoes: 'gains 2.9 times as much'."""
    times = f"{rival.times or 1.0:.2g}"
    return f"gains {'twice' if times == '2' else f'{times} times'} as much"


def advice(found: Findings, claim: Claim) -> tuple[str, Grade]:
    """Return what to do about a setting that was tested on fresh seeds, and how sure that is."""
    name = found.label(claim.key)
    match claim.standing:
        case "confirmed helps":
            return f"{_helps(found, claim)}{_beside(found, claim)}", "confirmed"
        case "confirmed hurts":
            return f"Do not use {name}", "confirmed"
        case "equivalent":
            within = f"{found.metric} stays within {percent(found.seeds.margin)}"
            if found.recommendation and claim.key not in found.recommendation.members:
                return f"{name}: {within}, but another is shown to be better", "equivalent"
            return f"{name} may be used or left out: {within}{_beside(found, claim)}", "equivalent"
        case "suggestive":
            effect = "hurt" if claim.change and claim.change.mean > 0 else "help"
            return f"{name} may {effect}: look again with more seeds", "suggestive"
        case "no evidence either way":
            return f"{name}: no conclusion", "none"
        case "not comparable":
            return f"{name}: not comparable", "none"


def _helps(found: Findings, claim: Claim) -> str:
    if found.standing("confirmed helps")[0].key != claim.key:
        return f"{found.label(claim.key)} helps as well"
    rival = found.rival(claim)
    # A confirmed effect of the setting must not read as a confirmed effect of the control.
    return f"If it has to be dispersion, use {found.label(claim.key)}" if rival and rival.outdone else use(found, claim)


def _beside(found: Findings, claim: Claim) -> str:
    """Return a clause that names the other outcomes that are confirmed to worsen."""
    worse = [one for one in found.side_claims if one.key == claim.key and one.standing == "confirmed hurts"]
    changes = (f"{found.named(one.metric)} {effect_of(one)}" for one in worse if one.change)
    return f"; but confirmed to hurt: {listed(changes)}" if worse else ""
