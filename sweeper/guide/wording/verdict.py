"""The verdict that opens a guide: what is confirmed, what to use, and in which scope. Words follow evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sweeper.guide.analysis.fresh_looks import screen_prior
from sweeper.guide.schema.results import CellResult
from sweeper.guide.schema.statements import MOST_POINTS, Claim, Verdict
from sweeper.guide.wording.advice import use
from sweeper.guide.wording.cautions import hidden_harm, poor_baseline
from sweeper.guide.wording.findings import (
    Findings,
    changed,
    claimed,
    effect_of,
    figure_of,
    figures_against,
    listed,
    said,
)
from sweeper.guide.wording.headline import decided, nothing_measured, undecided
from sweeper.guide.wording.heuristics import in_a_sentence
from sweeper.guide.wording.scope import scope
from sweeper.guide.wording.screened import lowest_of_screen, screened
from sweeper.guide.wording.verdict_context import beside, controls, judgement, tested
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import BET_ALPHA, FEWEST_SEEDS, OBJECTIVE_ALPHA
from sweeper.statistics.look_power import Plan, detectable_gain
from sweeper.statistics.noise import pairing
from sweeper.text.numbers import counted, percent, share
from sweeper.text.sentences import capital


def verdict(findings: Findings) -> Verdict:
    """Return the verdict: claims rest on fresh seeds alone, and where there are none it says so."""
    main, baseline = findings.main, findings.main.baseline
    measured = [result for result in main.rows if result.mean is not None]
    if baseline is None or baseline.mean is None:
        return _without_baseline(findings, measured)
    if findings.finished and not findings.claims:
        points, more = _foremost(
            (*_table(findings), *judgement(findings), *poor_baseline(findings), *_controls_together(findings)),
            _use(findings),
        )
        return Verdict(
            kind="no evidence",
            headline="No evidence that any setting helps: none was worth confirming on fresh seeds.",
            points=points,
            notes=(
                *more,
                *screened(findings),
                *lowest_of_screen(findings),
                *controls(findings),
                *_set(findings),
                *_left_out(findings),
            ),
        )
    if not any(result.mean is not None for result in main.cells):
        return Verdict(
            kind="no setting finished",
            headline=f"Screening, no claim: none of {counted(len(main.cells), 'setting')} has a finished trial.",
            points=(
                f"Baseline (lambda 0): {findings.metric} {figure_of(baseline)}.",
                *_marked(findings)[:1],
                _scope(findings),
            ),
            notes=_marked(findings)[1:],
        )
    if findings.claims:
        return _decided(findings)
    return _open(findings)


def _foremost(points: Iterable[str], use: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part sentences, the most important first, into those for the front page and the rest; `use` ends the former."""
    known = tuple(points)
    return (*known[: MOST_POINTS - 1], use), known[MOST_POINTS - 1 :]


def _open(findings: Findings) -> Verdict:
    points, more = _foremost(
        (
            *_table(findings),
            *lowest_of_screen(findings),
            *judgement(findings),
            *poor_baseline(findings),
            *_marked(findings)[:1],
        ),
        _use(findings),
    )
    return Verdict(
        kind="confirming" if findings.confirming else "screening",
        headline=undecided(findings),
        points=points,
        notes=(*more, *screened(findings), *_marked(findings)[1:], *_set(findings), *_left_out(findings)),
    )


def _without_baseline(findings: Findings, measured: list[CellResult]) -> Verdict:
    if not measured:
        return Verdict(
            kind="nothing measured",
            headline=nothing_measured(findings),
            points=(_scope(findings),),
        )
    seen = "No setting of the loss has finished."
    if findings.lowest:
        seen = f"Lowest mean seen: {findings.lowest.cell.label}, {findings.metric} {figure_of(findings.lowest)}."
    return Verdict(
        kind="no baseline",
        headline="No claim: the baseline (lambda 0) has not finished, so nothing can be compared with it.",
        points=(seen, _scope(findings)),
    )


def _decided(findings: Findings) -> Verdict:
    kind, headline = decided(findings)
    best, seeable, turned = _best(findings)
    table = _table(findings)
    lead = (*(_with_lowest(findings, table[0]),), *table[1:]) if table else (best,)
    points, more = _foremost(
        (*lead, *judgement(findings), *poor_baseline(findings), *_controls_together(findings), *_marked(findings)[:1]),
        _use(findings),
    )
    notes = (
        *(() if best in points else (best,)),
        *more,
        *(line for line in (seeable, turned) if line),
        *hidden_harm(findings),
        *_marked(findings)[1:],
        *controls(findings),
        *beside(findings),
        *_set(findings),
        *_bet(findings),
        *_left_out(findings),
    )
    return Verdict(kind=kind, headline=headline, points=points, notes=notes)


def _with_lowest(findings: Findings, table: str) -> str:
    """Add to the table's sentence what the best of the settings without a claim showed: how far off one may be."""
    known = tested(findings)
    if findings.standing("confirmed helps") or not known or known[0].standing in ("equivalent", "confirmed hurts"):
        return table
    lowest = known[0]
    low = lowest.change.low if lowest.change else None
    most = f", so it gains at most {share(-low)}" if low is not None and low < 0 else ""
    return f"{table.removesuffix('.')}; lowest on fresh seeds: {findings.label(lowest.key)}, {claimed(lowest)}{most}."


def _table(findings: Findings) -> tuple[str, ...]:
    said = in_a_sentence(findings)
    return (said,) if said else ()


def _controls_together(findings: Findings) -> tuple[str, ...]:
    """Sum up the control arms: which help, or else how many do not."""
    arms = [claim for claim in findings.side_claims if findings.known.cells[claim.key].role == "control"]
    helps = [claim for claim in arms if claim.standing == "confirmed helps"]
    if helps:
        arms_named = [f"the {findings.arm(claim.label)} ({claimed(claim)})" for claim in helps]
        named = " and ".join(arms_named) if len(helps) == 2 else listed(arms_named)
        return (f"Without a setting of the loss, {named} {'helps' if len(helps) == 1 else 'help'}.",)
    if not arms:
        return ()
    lowest = min(arms, key=lambda claim: claim.change.mean if claim.change else math.inf)
    best = f"is *{said(lowest)}* ({claimed(lowest)})"
    if len(arms) == 1:
        return (f"{capital(f'the {findings.arm(lowest.label)}')} {best}.",)
    hurt = [claim.label for claim in arms if claim.standing == "confirmed hurts"]
    are = "is" if len(hurt) == 1 else "are"
    hurting = f" and {len(hurt)} {are} confirmed to hurt ({listed(hurt)})" if hurt else ""
    return (f"Of {len(arms)} control arms none is confirmed to help{hurting}; the lowest, {lowest.label}, {best}.",)


def _best(findings: Findings) -> tuple[str, str, str]:
    """Describe the finalist with the lowest fresh mean; then which gain was detectable, or why none was looked for."""
    finalists, stage = tested(findings), findings.confirming
    if not finalists or stage is None or stage.baseline is None:
        return f"On fresh seeds: {listed(f'{claim.label}: {claim.reason}' for claim in findings.claims)}.", "", ""
    best = finalists[0]
    result = findings.result(best.key)
    figures = " against ".join(figures_against(result, stage.baseline)) if result else ""
    screened = f" ({len(findings.main.cells):,} screened)" if findings.main.stage == "screen" else ""
    which = f"Lowest of {len(finalists)} settings" if len(finalists) > 1 else "The setting tested"
    return (
        f"{which} on fresh seeds{screened}: {findings.label(best.key)}, "
        f"{findings.metric} {figures}: {effect_of(best)}: *{best.standing}*."
    ), *_seeable(findings, best)


def _seeable(findings: Findings, best: Claim) -> tuple[str, str]:
    """The gain that could have been detected, where none was; or that harm was looked for instead."""
    if best.confirmed or best.standing == "equivalent":
        return "", ""
    if best.direction == "higher":
        name = capital(findings.label(best.key))
        return "", f"{name} scored worse than lambda 0 in the screen, so it was tested for harm, not for a gain."
    shown = _detectable(findings, best)
    words = f"By the noise of the fresh seeds, a gain of {share(shown or 0.0)} or more would probably have shown."
    return words if shown else "", ""


def _detectable(findings: Findings, best: Claim) -> float | None:
    """The gain that the measured seeds show with the desired power, by their own noise: no longer a plan."""
    fresh, measured = findings.known.stages["confirm"], best.change.n if best.change else 0
    if measured < FEWEST_SEEDS:
        return None  # two seeds say next to nothing about the noise
    logs, rows = fresh.logs(), [fresh.row[claim.key] for claim in findings.claims]
    pool = pairing(logs[rows], logs[fresh.row[BASELINE_KEY]])
    if pool is None:
        return None
    plan = Plan.under(
        screen_prior(findings.known, findings.known.objective), findings.known.looks, OBJECTIVE_ALPHA / len(rows)
    )
    # A gain may show at any look, and an arm that ended as futile had its chance.
    return detectable_gain(
        findings.known.looks[-1] if findings.known.looks else measured, pool.difference_sd, plan, findings.seeds.power
    )


def _marked(findings: Findings) -> tuple[str, ...]:
    marked = [result for result in findings.main.cells if result.cell.mark]
    return tuple(
        f"{capital(result.cell.mark)} ({result.cell.label}){_fate(findings, result)}." for result in marked[:3]
    )


def _fate(findings: Findings, result: CellResult) -> str:
    floor = f"; {share(result.floor_share)} of its steps at the floor of the loss" if result.saturated else ""
    claim = next((one for one in findings.claims if one.key == result.key), None)
    if claim:
        return f" is *{said(claim)}*: {claimed(claim)}{floor}"
    if result.mean is not None:
        return f": {changed(result)}{floor}"
    if result.stopped_at:
        return f" was stopped early, at step {result.stopped_at:,}{floor}"
    if "diverged" in result.states:
        return f" diverged{floor}"
    return f"{' was not started' if result.not_started else ' has not finished'}{floor}"


def _set(findings: Findings) -> tuple[str, ...]:
    chosen = findings.recommendation
    if chosen is None:
        return ()
    names = [findings.label(key) for key in chosen.members]
    gone = f" ({counted(chosen.stopped, 'setting')} stopped or diverged aside)" if chosen.stopped else ""
    if chosen.unique:
        return (f"Single best: {names[0]}; every other setting is shown to be worse{gone}.",)
    if len(names) == 1:
        why = "but the data are too few to call it the best" if findings.claims else "but a screen names no best"
        return (f"Not shown to be worse than another{gone}: {names[0]}, {why}.",)
    return (f"Any of these may be the best{gone}: {listed(names, 6)}; the simplest is {names[0]}.",)


def _use(findings: Findings) -> str:
    """Say what to use, and in which scope."""
    chosen, helps = findings.recommendation, findings.standing("confirmed helps")
    if helps:
        advice = use(findings, helps[0])
    elif chosen is None or not findings.finished:
        advice = "Use lambda 0 until a setting is confirmed"
    else:
        advice = "Use lambda 0"
    return f"{advice}; this applies only to {scope(findings.record)}."


def _bet(findings: Findings) -> tuple[str, ...]:
    chosen = findings.recommendation
    if findings.standing("confirmed helps") or chosen is None or chosen.why != "bet":
        return ()
    return (
        f"If you need to pick a setting anyway, take {findings.label(chosen.first)}: its mean on fresh seeds is lower "
        f"by the margin of {percent(findings.seeds.margin)} or more, unconfirmed; where nothing has an effect, such a "
        f"bet is named in {percent(BET_ALPHA)} of studies at most.",
    )


def _left_out(findings: Findings) -> tuple[str, ...]:
    """Name the trials whose objective has no ratio to another's; a negative distance is a numerical error."""
    trials = [
        f"{trial.spec.cell.label}, seed {trial.spec.seed}"
        for table in findings.known.stages.values()
        for row, scores in zip(table.trials, table.scores(), strict=True)
        for trial, score in zip(row, scores, strict=True)
        if trial and score <= 0
    ]
    return (
        (f"Left out of every comparison because the {findings.metric} is 0 or less: {listed(trials)}.",)
        if trials
        else ()
    )


def _scope(findings: Findings) -> str:
    return f"Scope: {scope(findings.record)}. No claim is made beyond it."
