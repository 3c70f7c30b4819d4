"""Two studies of one recipe on the fresh seeds both have: are A's settings better than B's?

We compare every setting of A's confirm stage with every one of B's, each relative to its own baseline on the same seed,
so a shift of all figures by the machine cancels. The screens chose these settings on other seeds and all intervals hold
together, so the interval of any pair that a reader picks, e.g. both first choices, is valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.compare.schema import HeadToHead, Pair, Winner
from sweeper.guide.schema.guide import Guide
from sweeper.records import BASELINE_KEY, INPUTS, Facts, StudyRecord
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.paired_tests import Paired
from sweeper.statistics.resolution import least_noise
from sweeper.text.numbers import change, counted

Logs = Mapping[str, Mapping[int, float]]  # log objective by cell and seed


class Rival(NamedTuple):
    """A study's record and its guide."""

    record: StudyRecord
    guide: Guide


def paired(a: Rival, b: Rival) -> HeadToHead:
    """Compare the settings of both confirm stages on their shared fresh seeds, by the objective on the log scale."""
    reason = _obstacle(a, b)
    if reason:
        return HeadToHead(headline=f"No claim which study found the better setting: {reason}.", reason=reason)
    logs = _fresh(a.record), _fresh(b.record)
    shared = sorted(logs[0][BASELINE_KEY].keys() & logs[1][BASELINE_KEY].keys())
    gaps = [abs(logs[0][BASELINE_KEY][seed] - logs[1][BASELINE_KEY][seed]) for seed in shared]
    margin = min(a.guide.seeds.margin, b.guide.seeds.margin)
    pairs = _pairs(a.guide, b.guide, logs, math.log1p(margin))
    return HeadToHead(
        headline=_headline(a.guide, b.guide, pairs, margin),
        seeds=tuple(shared),
        margin=margin,
        baseline_gap=math.expm1(max(gaps)),
        pairs=pairs,
    )


def _obstacle(a: Rival, b: Rival) -> str:
    """Return why nothing can be paired; empty if something can."""
    if a.record.study.recipe.hash != b.record.study.recipe.hash:
        return "their recipes differ"
    if a.guide.objective != b.guide.objective:
        return "they judge by different metrics"
    if differing := _differing_inputs(a.record, b.record):
        return differing
    for name, rival in (("A", a), ("B", b)):
        if not rival.guide.claims:
            return f"{name} has no finished confirm stage"
    shared = _fresh(a.record).get(BASELINE_KEY, {}).keys() & _fresh(b.record).get(BASELINE_KEY, {}).keys()
    return "they share fewer than two fresh seeds" if len(shared) < 2 else ""


def _differing_inputs(a: StudyRecord, b: StudyRecord) -> str:
    """Return which input of the two recipes, or of an arm that both studies have, differs."""
    known, labels = (_inputs(a), _inputs(b)), {trial.spec.cell.key: trial.spec.cell.label for trial in a.trials}
    for arm in [BASELINE_KEY, *sorted((known[0].keys() & known[1].keys()) - {BASELINE_KEY})]:
        for field, words in INPUTS.items():
            found = [{getattr(facts, field) for facts in of.get(arm, ())} for of in known]
            if found[0] != found[1] or len(found[0]) != 1:
                return f"their {words} differ" + (f" in {labels[arm]}" if arm != BASELINE_KEY else "")
    return ""


def _inputs(record: StudyRecord) -> dict[str, list[Facts]]:
    """Return the facts of trials by key: the study's own recipe under the baseline's, each control under its own."""
    found: dict[str, list[Facts]] = {}
    for trial in record.trials:
        if trial.facts:
            cell = trial.spec.cell
            found.setdefault(cell.key if cell.role == "control" else BASELINE_KEY, []).append(trial.facts)
    return found


def _fresh(record: StudyRecord) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for trial in record.trials:
        last = max(trial.rungs, key=lambda rung: rung.step, default=None)
        value = record.study.minimised.of(last.metrics) if last else math.nan
        if trial.spec.stage == "confirm" and trial.state == "complete" and value > 0:
            found.setdefault(trial.spec.cell.key, {})[trial.spec.seed] = math.log(value)
    return found


def _pairs(a: Guide, b: Guide, logs: tuple[Logs, Logs], margin: float) -> tuple[Pair, ...]:
    gains = _gains(a, logs[0]), _gains(b, logs[1])
    values = np.exp([value for side in logs for seeds in side.values() for value in seeds.values()])
    least = least_noise(a.objective, values)
    labels = {claim.key: claim.label for claim in (*a.claims, *b.claims)}
    meetings = [
        (one, other, Paired(np.array([gains[0][one][seed] - gains[1][other][seed] for seed in seeds]), least))
        for one in gains[0]
        for other in gains[1]
        if one != other and len(seeds := sorted(gains[0][one].keys() & gains[1][other].keys())) > 1
    ]
    found = []
    for one, other, met in meetings:
        low, high = met.interval(INTERVAL_ALPHA / len(meetings))
        found.append(
            Pair(
                a=labels[one],
                b=labels[other],
                firsts=(one, other) == (_first(a), _first(b)),
                change=change_of(met.n, met.mean, low, high),
                winner=_winner(low, high, margin),
            )
        )
    return tuple(sorted(found, key=lambda pair: not pair.firsts))


def _gains(guide: Guide, logs: Logs) -> dict[str, dict[int, float]]:
    """Log objective minus the baseline's by seed, of every setting about which the study claims something."""
    base = logs[BASELINE_KEY]
    known = [
        claim.key for claim in guide.claims if claim.metric == guide.objective and claim.standing != "not comparable"
    ]
    return {
        key: {seed: value - base[seed] for seed, value in logs[key].items() if seed in base}
        for key in known
        if key in logs
    }


def _winner(low: float, high: float, margin: float) -> Winner:
    if -margin < low and high < margin:
        return "equivalent"
    return "a" if high < 0 else "b" if low > 0 else "open"


def _first(guide: Guide) -> str:
    return guide.recommendation.first if guide.recommendation else BASELINE_KEY


def _headline(a: Guide, b: Guide, pairs: tuple[Pair, ...], margin: float) -> str:
    chosen = _first(a), _first(b)
    if chosen[0] == chosen[1]:
        same = (
            "lambda 0"
            if chosen[0] == BASELINE_KEY
            else next(claim.label for claim in a.claims if claim.key == chosen[0])
        )
        return f"No contest: both studies take {same} first."
    if BASELINE_KEY in chosen:
        taker, other = ("A", "B") if chosen[0] == BASELINE_KEY else ("B", "A")
        return f"No contest: {taker} takes lambda 0 first, so {other}'s claim about its own first choice decides."
    met = next((pair for pair in pairs if pair.firsts), None)
    if met is None:
        return "No claim which first choice is better: fewer than two fresh seeds have both."
    seen = f"{change(met.change.mean, met.change.low, met.change.high)} on {counted(met.change.n, 'shared fresh seed')}"
    says = {
        "a": f"A's first choice, {met.a}, is confirmed better than B's, {met.b}",
        "b": f"B's first choice, {met.b}, is confirmed better than A's, {met.a}",
        "equivalent": f"A's first choice, {met.a}, and B's, {met.b}, are equivalent within {100 * margin:g} %",
        "open": f"A's first choice, {met.a}, and B's, {met.b}, cannot be distinguished",
    }
    return f"{says[met.winner]}: A against B {seen}."
