"""The guide in ten seconds: what is confirmed, what to use, and for what it holds. Words follow evidence."""

from __future__ import annotations

from sweeper.guide.analysis.stage_table import BASELINE
from sweeper.guide.schema.results import CellResult, StageResult
from sweeper.guide.schema.statements import Claim, Verdict
from sweeper.guide.wording.advice import use
from sweeper.guide.wording.arms import size
from sweeper.guide.wording.asides import beside, capital, controls, judgement, tested
from sweeper.guide.wording.cost_and_provenance import ORDER, finished
from sweeper.guide.wording.findings import Findings, changed, claimed, effect_of, figure_of, listed
from sweeper.guide.wording.headline import decided, undecided
from sweeper.guide.wording.scope import scope
from sweeper.records import StudyRecord, TrialState
from sweeper.statistics.levels import OBJECTIVE_ALPHA
from sweeper.statistics.noise import pairing
from sweeper.statistics.power import detectable
from sweeper.text.numbers import counted, duration, metric_name, percent, share

SPOKEN: dict[TrialState, str] = {"pruned": "stopped early"}
CHANCE = 0.05
FEWEST_SEEDS = 3


def verdict(found: Findings) -> Verdict:
    """Return what is known: claims from fresh seeds alone, and where there are none, that there are none."""
    main, baseline = found.main, found.main.baseline
    measured = [one for one in main.rows if one.mean is not None]
    if baseline is None or baseline.mean is None:
        return _without_baseline(found, measured)
    if found.finished and not found.claims:
        return Verdict(
            kind="no evidence",
            headline="No evidence that any setting helps: none was worth confirming on fresh seeds.",
            points=(
                *_screened(found),
                *judgement(found),
                *controls(found),
                *_set(found),
                _use(found),
                *_left_out(found),
                _scope(found),
            ),
        )
    if not any(one.mean is not None for one in main.cells):
        return Verdict(
            kind="no setting finished",
            headline=f"Screening, no claim: none of {counted(len(main.cells), 'setting')} has a finished trial.",
            points=(f"Baseline (lambda 0): {found.metric} {figure_of(baseline)}.", *_marked(found), _scope(found)),
        )
    if found.claims:
        return _decided(found)
    return Verdict(
        kind="confirming" if found.confirming else "screening",
        headline=undecided(found),
        points=(
            *_screened(found),
            *judgement(found),
            *_marked(found),
            *_set(found),
            _use(found),
            *_left_out(found),
            _scope(found),
        ),
    )


def _without_baseline(found: Findings, measured: list[CellResult]) -> Verdict:
    if not measured:
        return Verdict(
            kind="nothing measured",
            headline="Nothing measured yet: no trial has finished.",
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
    points = (
        _best(found),
        *judgement(found),
        *_marked(found),
        *controls(found),
        *beside(found),
        *_set(found),
        _use(found),
        *_left_out(found),
        _scope(found),
    )
    return Verdict(kind=kind, headline=headline, points=points)


def _best(found: Findings) -> str:
    """The finalist with the lowest fresh mean, beside the baseline."""
    finalists, stage = tested(found), found.confirming
    if not finalists or stage is None or stage.baseline is None:
        return f"On fresh seeds: {listed(f'{claim.label}: {claim.reason}' for claim in found.claims)}."
    best = finalists[0]
    result = found.result(best.key)
    figures = f"{figure_of(result)} against {figure_of(stage.baseline)}" if result else ""
    screened = f" ({len(found.main.cells):,} screened)" if found.main.stage == "screen" else ""
    return (
        f"Lowest of {counted(len(finalists), 'setting')} on fresh seeds{screened}: {found.label(best.key)}, "
        f"{found.metric} {figures}: {effect_of(best)}: *{best.standing}*.{_seeable(found, best)}"
    )


def _seeable(found: Findings, best: Claim) -> str:
    """What could have been seen, where nothing was."""
    if best.confirmed or best.standing == "equivalent":
        return ""
    if best.direction == "higher":
        return " The screen saw it higher, so it was tested for harm."
    shown = _detectable(found, best)
    return f" A gain of {share(shown)} or more would probably have shown." if shown else ""


def _detectable(found: Findings, best: Claim) -> float | None:
    """The gain that the measured seeds show with the wished-for power, by their own noise: no longer a plan."""
    fresh, measured = found.known.stages["confirm"], best.change.n if best.change else 0
    if measured < FEWEST_SEEDS:
        return None  # two seeds say next to nothing about the noise
    logs, rows = fresh.logs(), [fresh.row[claim.key] for claim in found.claims]
    pool = pairing(logs[rows], logs[fresh.row[BASELINE]])
    alpha = OBJECTIVE_ALPHA / len(rows)
    return detectable(measured, pool.difference_sd, alpha, found.seeds.power) if pool else None


def _screened(found: Findings) -> tuple[str, ...]:
    main, lowest, baseline = found.main, found.lowest, found.main.baseline
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
    if lowest and baseline:
        below_it = lowest.change is None or lowest.change.mean < 0
        seen = "Lowest mean seen" if below_it else "No setting averaged below the baseline; the lowest mean seen"
        against = f"{found.metric} {figure_of(lowest)}, baseline {figure_of(baseline)}: {changed(lowest)}"
        luck = "; the lowest of many looks lower than it is" if len(main.cells) > 1 and below_it else ""
        lines.append(f"{seen}: {lowest.cell.label}, {against}{luck}.")
    return tuple(lines)


def _expected(comparisons: int) -> str:
    count = CHANCE * comparisons
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _marked(found: Findings) -> tuple[str, ...]:
    marked = [one for one in found.main.cells if one.cell.mark]
    return tuple(f"{capital(one.cell.mark)} ({one.cell.label}): {_fate(found, one)}." for one in marked[:3])


def _fate(found: Findings, result: CellResult) -> str:
    floor = f"; {share(result.floor_share)} of its steps at the floor of the loss" if result.saturated else ""
    claim = next((one for one in found.claims if one.key == result.key), None)
    if claim:
        return f"*{claim.standing}*: {claimed(claim)}{floor}"
    if result.mean is not None:
        return f"{changed(result)}{floor}"
    if result.stopped_at:
        return f"stopped early, at step {result.stopped_at:,}{floor}"
    if "diverged" in result.states:
        return f"diverged{floor}"
    return f"{'not started' if result.not_started else 'not finished'}{floor}"


def _set(found: Findings) -> tuple[str, ...]:
    chosen = found.recommendation
    if chosen is None:
        return ()
    names = [found.label(key) for key in chosen.members]
    gone = f" ({counted(chosen.stopped, 'setting')} stopped or diverged aside)" if chosen.stopped else ""
    if chosen.unique:
        return (f"Single best: {names[0]}; every other setting is shown to be worse{gone}.",)
    if len(names) == 1:
        why = "but not surely enough to call it the best" if found.claims else "but a screen names no best"
        return (f"Not shown to be worse than another{gone}: {names[0]} alone, {why}.",)
    return (f"Cannot be distinguished from the best{gone}: {listed(names, 6)}; {names[0]} is the simplest.",)


def _use(found: Findings) -> str:
    chosen, helps = found.recommendation, found.standing("confirmed helps")
    if helps:
        return f"{use(found, helps[0])}."
    if chosen is None or not found.finished:
        return "Use lambda 0 until a setting is confirmed."
    if chosen.why == "default":
        return "Use lambda 0."
    return (
        f"Use lambda 0. If you need to pick a setting anyway, take {found.label(chosen.first)}: its mean on fresh "
        f"seeds is lower by the margin of {percent(found.seeds.margin)} or more, unconfirmed{found.lost(chosen.first)}."
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


def summary(record: StudyRecord, main: StageResult, states: dict[TrialState, int]) -> tuple[str, ...]:
    """Name the study's size and means in a line's worth of words."""
    by_state = ", ".join(f"{states[state]:,} {SPOKEN.get(state, state)}" for state in ORDER if states.get(state))
    evaluation = record.study.recipe.eval
    metric = metric_name(record.study.minimised.name(), evaluation.distance)
    extractor = next((one.facts for one in record.trials if one.facts), None)
    features = f"{extractor.extractor} {extractor.extractor_sha256[:8]}" if extractor else evaluation.extractor
    fresh = len({trial.spec.seed for trial in record.trials if trial.spec.stage == "confirm"})
    seeds = f"{len(main.seeds)} + {fresh} seeds" if fresh and main.stage == "screen" else counted(
        len(main.seeds), "seed"
    )  # fmt: skip
    return (
        size(len(main.cells), (one.cell for one in main.controls)),
        seeds,
        f"{finished(states):,} of {counted(sum(states.values()), 'trial')} ended ({by_state or 'none yet'})",
        f"{duration(record.provenance.wall_s)} on {counted(record.provenance.cores, 'core')}",
        f"{metric}, {features} features, {evaluation.solver} {evaluation.nfe}",
    )
