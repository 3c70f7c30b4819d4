"""The sentences of an atlas: its headline, its rules, and how similar scopes are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import assert_never

from sweeper.guide.atlas.heuristics import LEAST_SCOPES, Judged
from sweeper.guide.atlas.schema import Expectation, Heuristic, InScope, KnobTable, LambdaUnit, ScopeRow
from sweeper.guide.atlas.units import LAMBDA_UNITS, RELATIVE
from sweeper.statistics.meta_analysis import LEAST_FOR_PREDICTION, prediction_together
from sweeper.study.knobs import BLOCK, LAMBDA, TAU, VARIANT
from sweeper.text.numbers import counted, percent, signed

ALIKE, SOMEWHAT = 0.25, 0.75
HEADS = {BLOCK.name: "place of the block", TAU.name: "tau"}
SURELY = 2.0  # standard errors


def rule_words(judged: Judged) -> str:
    """Write a rule as advice."""
    level = judged.level
    match judged.kind:
        case "avoid":
            return f"Avoid lambda where its weight is {level}: it does harm."
        case "use":
            return f"Use lambda where its weight is {level}: it helps."
        case "prefer":
            return _preferred(judged.knob, level)
        case _:
            assert_never(judged.kind)


def _preferred(knob: str, level: str) -> str:
    match knob:
        case BLOCK.name:
            return f"Of blocks, choose {level if level.endswith('blocks') else f'one in the {level}'} of the network."
        case TAU.name:
            return f"Of temperatures, choose {level} median distances."
        case VARIANT.name:
            return f"Of variants, choose {level}."
        case other:
            return f"Of {other}, choose {level}."


def likeness(expected: Expectation) -> str:
    """Say how much scopes differ beyond noise."""
    if expected.k < LEAST_SCOPES:
        return "too few scopes to tell whether they differ"
    if expected.unlike < ALIKE:
        return "scopes do not differ beyond noise"
    if expected.unlike < SOMEWHAT:
        return "scopes differ somewhat"
    return "scopes differ by more than noise"


def expected_words(expected: Expectation) -> str:
    """Write a mean over scopes and what to expect in another one."""
    interval = "" if expected.k < LEAST_FOR_PREDICTION else f" [{signed(expected.low)}, {signed(expected.high)}]"
    mean = f"{signed(expected.mean)} %{interval} over {expected.k} scopes"
    if expected.expect_low is None or expected.expect_high is None:
        return f"{mean}; too few to say what to expect in a new one"
    return f"{mean}; in a new scope expect {signed(expected.expect_low)} to {signed(expected.expect_high)} %"


def headline(heuristics: Sequence[Heuristic], scopes: int, data: int) -> str:
    """Say in a sentence which rules hold across scopes."""
    seen = f"{counted(scopes, 'scope')} on {counted(data, 'data set')}"
    if not scopes:
        return "No heuristic: none of these studies can be used."
    if heuristics:
        return f"{counted(len(heuristics), 'heuristic')} made from {seen} held wherever a scope was left out."
    few = f"; at least {LEAST_SCOPES} scopes are needed to make one" if scopes < LEAST_SCOPES else ""
    return (
        f"No heuristic: no rule for block, lambda or tau is shown to hold over {seen} (a scope: one data set, model, "
        f"objective and training){few}."
    )


def points(
    heuristics: Sequence[Heuristic],
    rows: Sequence[ScopeRow],
    expected: Expectation | None,
    data: Sequence[str],
    knobs: Sequence[KnobTable],
    margin: float,
) -> Iterator[str]:
    """Say what a reader needs beside the headline; `margin` is the smallest change that matters, a fraction."""
    yield from (f"{rule.rule} {_evidence(rule)}" for rule in heuristics)
    yield from _sweeps(rows, expected)
    if not any(rule.knob == LAMBDA.name for rule in heuristics):
        yield from _seen_everywhere(knobs)
    yield from _harmless(knobs, margin)
    if rows and len(data) < 2:
        yield f"All scopes are of one data set, {', '.join(data)}: nothing here is known to hold for other data."
    elif len(data) < LEAST_SCOPES and rows:
        yield (
            f"All of this is about scopes on {counted(len(data), 'data set')}, {', '.join(data)}. Scopes that share a "
            f"data set are not independent: what to expect in a new scope is for these data, and for new data at least "
            f"{LEAST_SCOPES} data sets are needed."
        )


def _seen_everywhere(knobs: Sequence[KnobTable]) -> Iterator[str]:
    """Name the ranges of lambda with the same effect in every scope so far: not a rule, but readers will ask."""
    levels = [level for knob in knobs if knob.knob == LAMBDA.name for level in knob.levels if len(level.scopes) > 1]
    for sign, word in ((1, "worse"), (-1, "better")):
        found = [level for level in levels if all(_is_beyond(effect, sign) for effect in level.scopes)]
        if found:
            changes = [effect.change for level in found for effect in level.scopes]
            *most, last = [level.level for level in found]
            names = f"{', '.join(most)} or {last}" if most else last
            paper = any(level.level.endswith(RELATIVE) for level in levels) and not last.endswith(RELATIVE)
            form = " (tau as in the paper, not relative)" if paper else ""
            fewest = min(len(level.scopes) for level in found)
            yield (
                f"Seen so far, and no rule yet: a lambda whose weight is {names}{form} was {word} than lambda 0 in "
                f"every scope that has it ({signed(min(changes))} to {signed(max(changes))} %; {fewest} scopes or "
                "more, screening)."
            )


def _harmless(knobs: Sequence[KnobTable], margin: float) -> Iterator[str]:
    """Name the ranges of lambda that are expected to change nothing that matters in another scope."""
    levels = [level for knob in knobs if knob.knob == LAMBDA.name for level in knob.levels]
    pooled = [(level.level, level.pooled) for level in levels if level.pooled and level.pooled.k >= LEAST_SCOPES]
    found = [
        f"{name} ({expected_words(expected)})" for name, expected in pooled if _is_within(expected, margin, len(pooled))
    ]
    if found:
        yield (
            f"Expected to change less than {percent(margin)} in another scope, either way: a lambda whose weight is "
            f"{'; '.join(found)}. Screening."
        )


def _is_within(expected: Expectation, margin: float, together: int) -> bool:
    """Whether the prediction interval lies within the margin, widened so that those of all levels hold at once."""
    if expected.expect_high is None:
        return False
    mean, high = math.log1p(expected.mean), math.log1p(expected.expect_high)
    return abs(mean) + prediction_together(expected.k, high - mean, together) < math.log1p(margin)


def _is_beyond(effect: InScope, sign: int) -> bool:
    return effect.error is not None and sign * math.log1p(effect.change) > SURELY * effect.error


def _sweeps(rows: Sequence[ScopeRow], expected: Expectation | None) -> Iterator[str]:
    fresh = [row.best for row in rows if row.best and row.best.stage == "confirm"]
    if fresh:
        counts = [
            f"{sum(best.standing == standing for best in fresh)} {words}"
            for standing, words in (("confirmed helps", "confirmed to help"), ("confirmed hurts", "confirmed to hurt"))
        ]
        yield (
            f"The setting that ranked first in the screen was tested on fresh seeds in {counted(len(fresh), 'scope')}: "
            f"{' and '.join(counts)}."
        )
    if expected:
        words = f"{expected_words(expected)}; {likeness(expected)}"
        yield f"On average that setting changed the objective by {words}."


def _evidence(rule: Heuristic) -> str:
    against = "the knob's other levels" if rule.kind == "prefer" else "lambda 0"
    held = sum(check.outcome == "holds" for check in rule.checks)
    return f"Against {against} {expected_words(rule.pooled)}; it held in {held} of {len(rule.checks)} checks."


def hypothesis(rule: Heuristic) -> str:
    """Write a rule as what was tested, for those that were rejected; advice would be read as such."""
    match rule.kind:
        case "avoid":
            return f"lambda with a weight of {rule.level} hurts"
        case "use":
            return f"lambda with a weight of {rule.level} helps"
        case "prefer":
            return f"{rule.level} is the best {HEADS.get(rule.knob, rule.knob)}"
        case _:
            assert_never(rule.kind)


def new_model(
    heuristics: Sequence[Heuristic], knobs: Sequence[KnobTable], rows: Sequence[ScopeRow], unit: LambdaUnit
) -> Iterator[str]:
    """Say what to do with a model that none of the studies trained."""
    fresh = [row.best for row in rows if row.best and row.best.stage == "confirm"]
    if not rows:
        return
    if not any(rule.kind == "use" for rule in heuristics):
        helped = sum(best.standing == "confirmed helps" for best in fresh)
        yield f"Begin with lambda 0: a setting of the loss is confirmed to help in {helped} of {len(rows)} scopes."
    calm = [found for knob in (LAMBDA.name, TAU.name) if (found := _calmest(knob, knobs, unit))]
    if calm:
        yield f"To try the loss, begin where least is at stake: {', and '.join(calm)} (screening)."
    own = "the values of the heuristics below" if heuristics else "its template's values, as there is no heuristic yet"
    yield (
        f"`sweeper init --from FOLDER_OF_THIS_PAGE` writes a first study of your own, with {own}; `sweeper plan` says "
        "what it costs."
    )


def _calmest(name: str, knobs: Sequence[KnobTable], lambda_unit: LambdaUnit) -> str:
    """Name the level of a knob that is expected to change least for the worse in a new scope."""
    levels = [
        (level.pooled.expect_high, level.level, level.pooled)
        for knob in knobs
        if knob.knob == name
        for level in knob.levels
        if level.pooled and level.pooled.expect_high is not None and level.pooled.k >= LEAST_SCOPES
    ]
    if not levels:
        return ""
    _, level, expected = min(levels, key=lambda one: one[0])
    what = f"a lambda whose weight ({LAMBDA_UNITS[lambda_unit]}) is" if name == LAMBDA.name else "tau of"
    unit = "" if name == LAMBDA.name else " median distances"
    ends = f"{signed(expected.expect_low or 0.0)} to {signed(expected.expect_high or 0.0)}"
    return f"{what} {level}{unit} (expect {ends} %)"


def check_words(margin: float) -> str:
    """Say what a rule has to pass."""
    return (
        "A rule is a heuristic if three things hold. Its direction is shown over scopes (one-sided, Holm over all "
        "rules, 5 % together). The 95 % prediction interval excludes an effect of the other sign. And made again "
        "without any one scope or data set, the rule stays the same and costs the scope left out at most "
        f"{percent(margin)} against its own best."
    )
