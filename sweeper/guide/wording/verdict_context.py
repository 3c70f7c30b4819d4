"""The verdict's sentences on the judging metric, control arms and other outcomes."""

from __future__ import annotations

from sweeper.guide.schema.statements import Claim, ControlComparison
from sweeper.guide.wording.experiment_protocol import judged_by
from sweeper.guide.wording.findings import Findings, claimed, effect_of, listed, written
from sweeper.text.sentences import capital

MOST_CONTROLS = 6


def tested(findings: Findings) -> list[Claim]:
    """The finalists that could be compared, lowest first."""
    comparable = (claim for claim in findings.claims if claim.change and claim.standing != "not comparable")
    return sorted(comparable, key=lambda claim: claim.change.mean if claim.change else 0.0)


def controls(findings: Findings) -> tuple[str, ...]:
    """Compare the best setting that helps with every control arm, or report the arms' own results."""
    helping = {claim.label for claim in findings.standing("confirmed helps")[:1]}
    lines = [
        f"{capital(findings.arm(comparison.control))}: {_itself(findings, comparison)}; "
        f"compared with it, {comparison.setting} is {written(comparison.change)}, {_against(comparison)}."
        for comparison in findings.controls
        if comparison.setting in helping
    ]
    if not findings.controls:
        arms = [claim for claim in findings.side_claims if findings.known.cells[claim.key].role == "control"]
        lines = [f"{capital(findings.arm(claim.label))}: {claimed(claim)}: *{claim.standing}*." for claim in arms]
    return tuple(lines[:MOST_CONTROLS])


def _itself(findings: Findings, comparison: ControlComparison) -> str:
    claim = next((claim for claim in findings.side_claims if claim.label == comparison.control), None)
    return f"{claimed(claim) if claim else ''}: *{comparison.control_standing}*"


def _against(comparison: ControlComparison) -> str:
    if comparison.better:
        return "better"
    return "worse" if comparison.outdone else "not shown to be better"


def judgement(findings: Findings) -> tuple[str, ...]:
    """For a study that judges by a metric other than FID, explain that metric and report FID."""
    minimised = findings.record.study.minimised
    if minimised.is_fid:
        return ()
    name, best = minimised.evaluation.recorded("fid"), next(iter(tested(findings)), None)
    fid = next(
        (claim for claim in findings.side_claims if best and (claim.metric, claim.key) == (name, best.key)), None
    )
    fate = f" {findings.named(name)} of {findings.label(fid.key)}: {claimed(fid)}: *{fid.standing}*." if fid else ""
    return (f"Judged by {judged_by(minimised)}.{fate}",)


def beside(findings: Findings) -> tuple[str, ...]:
    """Confirmed changes of other outcomes: no single metric sees everything, and FID rewards copying."""
    objective = findings.known.objective
    confirmed = [claim for claim in findings.side_claims if claim.confirmed and claim.metric != objective]
    if not confirmed:
        return ()
    changes = (
        f"{findings.named(claim.metric)} of {findings.label(claim.key)} {effect_of(claim)} "
        f"(confirmed {claim.direction})"
        for claim in confirmed
    )
    return (f"Other metrics than {findings.metric}: {listed(changes)}.",)
