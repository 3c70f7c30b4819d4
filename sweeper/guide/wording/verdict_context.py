"""The verdict's sentences on the judging metric, control arms and other outcomes."""

from __future__ import annotations

from sweeper.guide.schema.statements import Claim, ControlComparison
from sweeper.guide.wording.experiment_protocol import judged_by
from sweeper.guide.wording.findings import Findings, claimed, effect_of, listed, written
from sweeper.text.sentences import capital

MOST_CONTROLS = 6


def tested(found: Findings) -> list[Claim]:
    """The finalists that could be compared, lowest first."""
    comparable = (claim for claim in found.claims if claim.change and claim.standing != "not comparable")
    return sorted(comparable, key=lambda claim: claim.change.mean if claim.change else 0.0)


def controls(found: Findings) -> tuple[str, ...]:
    """Compare the best setting that helps with every control arm, or report the arms' own results."""
    helping = {claim.label for claim in found.standing("confirmed helps")[:1]}
    lines = [
        f"{capital(found.arm(one.control))}: {_itself(found, one)}; compared with it, {one.setting} is "
        f"{written(one.change)}, {_against(one)}."
        for one in found.controls
        if one.setting in helping
    ]
    if not found.controls:
        arms = [claim for claim in found.side_claims if found.known.cells[claim.key].role == "control"]
        lines = [f"{capital(found.arm(claim.label))}: {claimed(claim)}: *{claim.standing}*." for claim in arms]
    return tuple(lines[:MOST_CONTROLS])


def _itself(found: Findings, one: ControlComparison) -> str:
    claim = next((claim for claim in found.side_claims if claim.label == one.control), None)
    return f"{claimed(claim) if claim else ''}: *{one.control_standing}*"


def _against(one: ControlComparison) -> str:
    if one.better:
        return "better"
    return "worse" if one.outdone else "not shown to be better"


def judgement(found: Findings) -> tuple[str, ...]:
    """For a study that judges by a metric other than FID, explain that metric and report FID."""
    minimised = found.record.study.minimised
    if minimised.is_fid:
        return ()
    name, best = minimised.evaluation.recorded("fid"), next(iter(tested(found)), None)
    fid = next((one for one in found.side_claims if best and (one.metric, one.key) == (name, best.key)), None)
    fate = f" {found.named(name)} of {found.label(fid.key)}: {claimed(fid)}: *{fid.standing}*." if fid else ""
    return (f"Judged by {judged_by(minimised)}.{fate}",)


def beside(found: Findings) -> tuple[str, ...]:
    """Confirmed changes of other outcomes: no single metric sees everything, and FID rewards copying."""
    objective = found.known.objective
    confirmed = [claim for claim in found.side_claims if claim.confirmed and claim.metric != objective]
    if not confirmed:
        return ()
    changes = (
        f"{found.named(claim.metric)} of {found.label(claim.key)} {effect_of(claim)} (confirmed {claim.direction})"
        for claim in confirmed
    )
    return (f"Other metrics than {found.metric}: {listed(changes)}.",)
