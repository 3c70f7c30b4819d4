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
from sweeper.guide.wording.verdict_context import beside, controls, judgement, tested
from sweeper.records import BASELINE_KEY
from sweeper.statistics.error_budget import BET_ALPHA, FEWEST_SEEDS, OBJECTIVE_ALPHA
from sweeper.statistics.look_power import Plan, detectable_gain
from sweeper.statistics.noise import pairing
from sweeper.text.numbers import counted, percent, share
from sweeper.text.sentences import capital

CHANCE = 0.05


def verdict(found: Findings) -> Verdict:
    """Return the verdict: claims rest on fresh seeds alone, and where there are none it says so."""
    main, baseline = found.main, found.main.baseline
    measured = [one for one in main.rows if one.mean is not None]
    if baseline is None or baseline.mean is None:
        return _without_baseline(found, measured)
    if found.finished and not found.claims:
        points, more = _foremost(
            (*_table(found), *judgement(found), *poor_baseline(found), *_controls_together(found)), _use(found)
        )
        return Verdict(
            kind="no evidence",
            headline="No evidence that any setting helps: none was worth confirming on fresh seeds.",
            points=points,
            notes=(*more, *_screened(found), *controls(found), *_set(found), *_left_out(found)),
        )
    if not any(one.mean is not None for one in main.cells):
        return Verdict(
            kind="no setting finished",
            headline=f"Screening, no claim: none of {counted(len(main.cells), 'setting')} has a finished trial.",
            points=(f"Baseline (lambda 0): {found.metric} {figure_of(baseline)}.", *_marked(found)[:1], _scope(found)),
            notes=_marked(found)[1:],
        )
    if found.claims:
        return _decided(found)
    return _open(found)


def _foremost(points: Iterable[str], use: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part sentences, the most important first, into those for the front page and the rest; `use` ends the former."""
    known = tuple(points)
    return (*known[: MOST_POINTS - 1], use), known[MOST_POINTS - 1 :]


def _open(found: Findings) -> Verdict:
    points, more = _foremost(
        (*_table(found), *_lowest(found), *judgement(found), *poor_baseline(found), *_marked(found)[:1]), _use(found)
    )
    lowest = () if set(_lowest(found)) & {*points, *more} else _lowest(found)
    return Verdict(
        kind="confirming" if found.confirming else "screening",
        headline=undecided(found),
        points=points,
        notes=(*more, *_screened(found), *lowest, *_marked(found)[1:], *_set(found), *_left_out(found)),
    )


def _without_baseline(found: Findings, measured: list[CellResult]) -> Verdict:
    if not measured:
        return Verdict(
            kind="nothing measured",
            headline=nothing_measured(found),
            points=(_scope(found),),
        )
    seen = "No setting of the loss has finished."
    if found.lowest:
        seen = f"Lowest mean seen: {found.lowest.cell.label}, {found.metric} {figure_of(found.lowest)}."
    return Verdict(
        kind="no baseline",
        headline="No claim: the baseline (lambda 0) has not finished, so nothing can be compared with it.",
        points=(seen, _scope(found)),
    )


def _decided(found: Findings) -> Verdict:
    kind, headline = decided(found)
    best, seeable, turned = _best(found)
    table = _table(found)
    lead = (*(_with_lowest(found, table[0]),), *table[1:]) if table else (best,)
    points, more = _foremost(
        (*lead, *judgement(found), *poor_baseline(found), *_controls_together(found), *_marked(found)[:1]), _use(found)
    )
    notes = (
        *(() if best in points else (best,)),
        *more,
        *(line for line in (seeable, turned) if line),
        *hidden_harm(found),
        *_marked(found)[1:],
        *controls(found),
        *beside(found),
        *_set(found),
        *_bet(found),
        *_left_out(found),
    )
    return Verdict(kind=kind, headline=headline, points=points, notes=notes)


def _with_lowest(found: Findings, table: str) -> str:
    """Add to the table's sentence what the best of the settings without a claim showed: how far off one may be."""
    hoped = [claim for claim in tested(found) if claim.direction == "lower"]
    if found.standing("confirmed helps") or not hoped or hoped[0].standing == "equivalent":
        return table
    lowest = hoped[0]
    low = lowest.change.low if lowest.change else None
    most = f", so it gains at most {share(-low)}" if low is not None and low < 0 else ""
    return f"{table.removesuffix('.')}; lowest on fresh seeds: {found.label(lowest.key)}, {claimed(lowest)}{most}."


def _table(found: Findings) -> tuple[str, ...]:
    said = in_a_sentence(found)
    return (said,) if said else ()


def _controls_together(found: Findings) -> tuple[str, ...]:
    """Sum up the control arms: which help, or else how many do not."""
    arms = [claim for claim in found.side_claims if found.known.cells[claim.key].role == "control"]
    helps = [claim for claim in arms if claim.standing == "confirmed helps"]
    if helps:
        arms_named = [f"the {found.arm(claim.label)} ({claimed(claim)})" for claim in helps]
        named = " and ".join(arms_named) if len(helps) == 2 else listed(arms_named)
        return (f"Without a setting of the loss, {named} {'helps' if len(helps) == 1 else 'help'}.",)
    if not arms:
        return ()
    lowest = min(arms, key=lambda claim: claim.change.mean if claim.change else math.inf)
    best = f"is *{said(lowest)}* ({claimed(lowest)})"
    if len(arms) == 1:
        return (f"{capital(f'the {found.arm(lowest.label)}')} {best}.",)
    hurt = sum(claim.standing == "confirmed hurts" for claim in arms)
    hurting = f" and {hurt} {'is' if hurt == 1 else 'are'} confirmed to hurt" if hurt else ""
    return (f"Of {len(arms)} control arms none is confirmed to help{hurting}; the lowest, {lowest.label}, {best}.",)


def _best(found: Findings) -> tuple[str, str, str]:
    """Describe the finalist with the lowest fresh mean; then which gain was detectable, or why none was looked for."""
    finalists, stage = tested(found), found.confirming
    if not finalists or stage is None or stage.baseline is None:
        return f"On fresh seeds: {listed(f'{claim.label}: {claim.reason}' for claim in found.claims)}.", "", ""
    best = finalists[0]
    result = found.result(best.key)
    figures = " against ".join(figures_against(result, stage.baseline)) if result else ""
    screened = f" ({len(found.main.cells):,} screened)" if found.main.stage == "screen" else ""
    which = f"Lowest of {len(finalists)} settings" if len(finalists) > 1 else "The setting tested"
    return (
        f"{which} on fresh seeds{screened}: {found.label(best.key)}, "
        f"{found.metric} {figures}: {effect_of(best)}: *{best.standing}*."
    ), *_seeable(found, best)


def _seeable(found: Findings, best: Claim) -> tuple[str, str]:
    """The gain that could have been detected, where none was; or that harm was looked for instead."""
    if best.confirmed or best.standing == "equivalent":
        return "", ""
    if best.direction == "higher":
        name = capital(found.label(best.key))
        return "", f"{name} scored worse than lambda 0 in the screen, so it was tested for harm, not for a gain."
    shown = _detectable(found, best)
    words = f"By the noise of the fresh seeds, a gain of {share(shown or 0.0)} or more would probably have shown."
    return words if shown else "", ""


def _detectable(found: Findings, best: Claim) -> float | None:
    """The gain that the measured seeds show with the desired power, by their own noise: no longer a plan."""
    fresh, measured = found.known.stages["confirm"], best.change.n if best.change else 0
    if measured < FEWEST_SEEDS:
        return None  # two seeds say next to nothing about the noise
    logs, rows = fresh.logs(), [fresh.row[claim.key] for claim in found.claims]
    pool = pairing(logs[rows], logs[fresh.row[BASELINE_KEY]])
    if pool is None:
        return None
    plan = Plan.under(screen_prior(found.known, found.known.objective), found.known.looks, OBJECTIVE_ALPHA / len(rows))
    # A gain may show at any look, and an arm that ended as futile had its chance.
    return detectable_gain(
        found.known.looks[-1] if found.known.looks else measured, pool.difference_sd, plan, found.seeds.power
    )


def _screened(found: Findings) -> tuple[str, ...]:
    main = found.main
    if main.stage != "screen":
        return ()
    above, below, around = (main.count(side) for side in ("above", "below", "around"))
    total = above + below + around
    lines = []
    if total:
        have = "has" if above == 1 else "have"
        lines.append(
            f"Screen: of {counted(total, 'setting')}, {above:,} {have} a 95 % interval wholly above the "
            f"baseline (worse), {below:,} wholly below, {around:,} around it; "
            f"with no effect at all about {_expected(total)} would miss it by chance."
        )
    return (*lines, *_lowest(found))


def _lowest(found: Findings) -> tuple[str, ...]:
    main, lowest, baseline = found.main, found.lowest, found.main.baseline
    if lowest and baseline and main.stage == "screen":
        below_it = lowest.change is None or lowest.change.mean < 0
        seen = "Lowest mean seen" if below_it else "No setting averaged below the baseline; the lowest mean seen"
        own, base = figures_against(lowest, baseline)
        against = f"{found.metric} {own}, baseline {base}: {changed(lowest)}"
        luck = "; the lowest of many looks lower than it is" if len(main.cells) > 1 and below_it else ""
        return (f"{seen}: {lowest.cell.label}, {against}{luck}.",)
    return ()


def _expected(comparisons: int) -> str:
    count = CHANCE * comparisons
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _marked(found: Findings) -> tuple[str, ...]:
    marked = [one for one in found.main.cells if one.cell.mark]
    return tuple(f"{capital(one.cell.mark)} ({one.cell.label}){_fate(found, one)}." for one in marked[:3])


def _fate(found: Findings, result: CellResult) -> str:
    floor = f"; {share(result.floor_share)} of its steps at the floor of the loss" if result.saturated else ""
    claim = next((one for one in found.claims if one.key == result.key), None)
    if claim:
        return f" is *{said(claim)}*: {claimed(claim)}{floor}"
    if result.mean is not None:
        return f": {changed(result)}{floor}"
    if result.stopped_at:
        return f" was stopped early, at step {result.stopped_at:,}{floor}"
    if "diverged" in result.states:
        return f" diverged{floor}"
    return f"{' was not started' if result.not_started else ' has not finished'}{floor}"


def _set(found: Findings) -> tuple[str, ...]:
    chosen = found.recommendation
    if chosen is None:
        return ()
    names = [found.label(key) for key in chosen.members]
    gone = f" ({counted(chosen.stopped, 'setting')} stopped or diverged aside)" if chosen.stopped else ""
    if chosen.unique:
        return (f"Single best: {names[0]}; every other setting is shown to be worse{gone}.",)
    if len(names) == 1:
        why = "but the data are too few to call it the best" if found.claims else "but a screen names no best"
        return (f"Not shown to be worse than another{gone}: {names[0]}, {why}.",)
    return (f"Any of these may be the best{gone}: {listed(names, 6)}; the simplest is {names[0]}.",)


def _use(found: Findings) -> str:
    """Say what to use, and in which scope."""
    chosen, helps = found.recommendation, found.standing("confirmed helps")
    if helps:
        advice = use(found, helps[0])
    elif chosen is None or not found.finished:
        advice = "Use lambda 0 until a setting is confirmed"
    else:
        advice = "Use lambda 0"
    return f"{advice}; this applies only to {scope(found.record)}."


def _bet(found: Findings) -> tuple[str, ...]:
    chosen = found.recommendation
    if found.standing("confirmed helps") or chosen is None or chosen.why != "bet":
        return ()
    return (
        f"If you need to pick a setting anyway, take {found.label(chosen.first)}: its mean on fresh seeds is lower by "
        f"the margin of {percent(found.seeds.margin)} or more, unconfirmed; where nothing has an effect, such a bet is "
        f"named in {percent(BET_ALPHA)} of studies at most.",
    )


def _left_out(found: Findings) -> tuple[str, ...]:
    """Name the trials whose objective has no ratio to another's; a negative distance is a numerical error."""
    trials = [
        f"{trial.spec.cell.label}, seed {trial.spec.seed}"
        for table in found.known.stages.values()
        for row, scores in zip(table.trials, table.scores(), strict=True)
        for trial, score in zip(row, scores, strict=True)
        if trial and score <= 0
    ]
    return (
        (f"Left out of every comparison because the {found.metric} is 0 or less: {listed(trials)}.",) if trials else ()
    )


def _scope(found: Findings) -> str:
    return f"Scope: {scope(found.record)}. No claim is made beyond it."
