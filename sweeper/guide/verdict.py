"""The guide in ten seconds: what was seen, with intervals, and how much that is worth."""

from __future__ import annotations

from sweeper.guide.advice import CHANCE, Findings, changed, figure_of
from sweeper.guide.guidance import CellResult, StageResult, Verdict
from sweeper.guide.numerals import counted, duration, metric_name, share
from sweeper.guide.protocol import ORDER, finished
from sweeper.records import StudyRecord, TrialState

SPOKEN: dict[TrialState, str] = {"pruned": "stopped early"}


def verdict(found: Findings) -> Verdict:
    """Say what the study has seen; screening supports no claim, and this version makes none on fresh seeds either."""
    main, baseline = found.main, found.main.baseline
    measured = [one for one in main.rows if one.mean is not None]
    if baseline is None or baseline.mean is None:
        return _without_baseline(found, measured)
    if not any(one.mean is not None for one in main.cells):
        return Verdict(
            kind="no setting finished",
            headline=f"Screening, no claim: none of {counted(len(main.cells), 'setting')} has a finished trial.",
            points=(f"Baseline (lambda 0): {found.metric} {figure_of(baseline)}.", *_marked(main), _scope(found)),
        )
    fresh = found.fresh or (main if main.stage == "confirm" else None)
    lines = (*(_fresh(found, fresh) if fresh else ()), *(_screened(found) if main.stage == "screen" else ()))
    return Verdict(
        kind="fresh seeds" if fresh else "screening",
        headline=_headline(main, fresh),
        points=(*lines, *_marked(main), _use(), _scope(found)),
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


def _headline(main: StageResult, fresh: StageResult | None) -> str:
    if fresh:
        return f"Measured on {counted(len(fresh.seeds), 'fresh seed')}, no claim yet: these are intervals, not winners."
    tried, seeds = counted(len(main.cells), "setting"), counted(len(main.seeds), "seed")
    return f"Screening, no claim: {tried} on {seeds} can show what to look at next, not what helps."


def _screened(found: Findings) -> tuple[str, ...]:
    main, lowest, baseline = found.main, found.lowest, found.main.baseline
    above, below, around = (main.count(side) for side in ("above", "below", "around"))
    total = above + below + around
    lines = []
    if total:
        lines.append(
            f"Screen: of {counted(total, 'setting')}, {above:,} have a 95 % interval wholly above the "
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


def _fresh(found: Findings, fresh: StageResult) -> tuple[str, ...]:
    measured = [one for one in fresh.cells if one.mean is not None]
    if fresh.baseline is None or fresh.baseline.mean is None or not measured:
        return ("Fresh seeds: not enough has finished to compare.",)
    seen = "; ".join(f"{one.cell.label} {changed(one)}" for one in measured[:3])
    more = f"; {counted(len(measured) - 3, 'more')} in section 1" if len(measured) > 3 else ""
    return (f"Fresh seeds, change to the baseline {found.metric} {figure_of(fresh.baseline)}: {seen}{more}.",)


def _marked(main: StageResult) -> tuple[str, ...]:
    marked = [one for one in main.cells if one.cell.mark]
    return tuple(f"{_capital(one.cell.mark)} ({one.cell.label}): {_fate(one)}." for one in marked[:3])


def _capital(text: str | None) -> str:
    return text[:1].upper() + text[1:] if text else ""


def _fate(result: CellResult) -> str:
    floor = f"; {share(result.floor_share)} of its steps at the floor of the loss" if result.saturated else ""
    if result.mean is not None:
        return f"{changed(result)}{floor}"
    if result.stopped_at:
        return f"stopped early, at step {result.stopped_at:,}{floor}"
    if "diverged" in result.states:
        return f"diverged{floor}"
    return f"{'not started' if result.not_started else 'not finished'}{floor}"


def _use() -> str:
    return "Use lambda 0 until a setting is confirmed."


def _scope(found: Findings) -> str:
    recipe = found.record.study.recipe
    images = f" ({recipe.data.limit:,} training images)" if recipe.data.limit else ""
    return (
        f"Scope: {recipe.data.name}{images}, SiT width {recipe.model.width} depth {recipe.model.depth}, "
        f"{counted(recipe.train.steps, 'step')}, batch {recipe.train.batch}. Nothing is said about anything else."
    )


def summary(record: StudyRecord, main: StageResult, states: dict[TrialState, int]) -> tuple[str, ...]:
    """Name the study's size and means in a line's worth of words."""
    told = ", ".join(f"{states[state]:,} {SPOKEN.get(state, state)}" for state in ORDER if states.get(state))
    evaluation = record.study.recipe.eval
    extractor = next((one.facts for one in record.trials if one.facts), None)
    features = f"{extractor.extractor} {extractor.extractor_sha256[:8]}" if extractor else evaluation.extractor
    return (
        f"{counted(len(main.cells), 'setting')} and {counted(len(main.controls) + 1, 'arm')} without dispersion",
        counted(len(main.seeds), "seed"),
        f"{finished(states):,} of {counted(sum(states.values()), 'trial')} ended ({told or 'none yet'})",
        f"{duration(record.provenance.wall_s)} on {counted(record.provenance.cores, 'core')}",
        f"{metric_name(record.study.objective)}, {features} features, {evaluation.solver} {evaluation.nfe}",
    )
