"""The sentences of an atlas: its headline, its rules, and how similar scopes are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import assert_never

from sweeper.guide.atlas.heuristics import LEAST_SCOPES, Judged
from sweeper.guide.atlas.schema import Expectation, Heuristic, InScope, KnobTable, ScopeRow
from sweeper.statistics.random_effects import LEAST_FOR_PREDICTION, prediction_together
from sweeper.study.knobs import BLOCK, LAMBDA, TAU, VARIANT
from sweeper.text.numbers import counted, percent, signed

ALIKE, SOMEWHAT = 0.25, 0.75
SURELY = 2.0  # standard errors


def rule_words(judged: Judged) -> str:
    """Write a rule as advice."""
    level = judged.level
    match judged.kind:
        case "avoid":
            return f"Avoid lambda where its weight is {level}: it does harm."
        case "use":
            return f"Use lambda with a weight of {level}: it helps."
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
    return "it depends on the scope more than on chance"


def expected_words(expected: Expectation) -> str:
    """Write a mean over scopes and what to expect in another one."""
    interval = "" if expected.k < LEAST_FOR_PREDICTION else f" [{signed(expected.low)}, {signed(expected.high)}]"
    mean = f"{signed(expected.mean)} %{interval} over {expected.k} scopes"
    if expected.expect_low is None or expected.expect_high is None:
        return f"{mean}; too few to say what to expect in another"
    return f"{mean}; in another expect {signed(expected.expect_low)} to {signed(expected.expect_high)} %"


def headline(heuristics: Sequence[Heuristic], scopes: int, data: int) -> str:
    """Say in a sentence which rules hold across scopes."""
    seen = f"{counted(scopes, 'scope')} on {counted(data, 'data set')}"
    if not scopes:
        return "No heuristic: none of these studies can be used."
    if heuristics:
        return f"{counted(len(heuristics), 'heuristic')} made from {seen} held wherever a scope was left out."
    few = f"; at least {LEAST_SCOPES} scopes are needed to make one" if scopes < LEAST_SCOPES else ""
    return f"No heuristic: nothing is shown to travel from scope to scope, on {seen}{few}."


def points(
    heuristics: Sequence[Heuristic],
    rows: Sequence[ScopeRow],
    expected: Expectation | None,
    data: Sequence[str],
    knobs: Sequence[KnobTable],
    margin: float,
) -> Iterator[str]:
    """Say what a reader needs beside the headline; `margin` is the smallest change that matters, a fraction."""
    yield from (f"{one.rule} {_evidence(one)}" for one in heuristics)
    yield from _sweeps(rows, expected)
    if not any(one.knob == LAMBDA.name for one in heuristics):
        yield from _seen_everywhere(knobs)
    yield from _harmless(knobs, margin)
    if rows and len(data) < 2:
        yield f"All scopes are of one data set, {', '.join(data)}: nothing here is known to hold for other data."
    elif len(data) < LEAST_SCOPES and rows:
        yield (
            f"All of this speaks of scopes on {counted(len(data), 'data set')}, {', '.join(data)}: scopes of one data "
            f"set are not independent, and from {LEAST_SCOPES} data sets on an atlas speaks of new data."
        )


def _seen_everywhere(knobs: Sequence[KnobTable]) -> Iterator[str]:
    """Name the ranges of lambda with the same effect in every scope so far: not a rule, but readers will ask."""
    levels = [level for knob in knobs if knob.knob == LAMBDA.name for level in knob.levels if len(level.scopes) > 1]
    for sign, word in ((1, "worse"), (-1, "better")):
        found = [level for level in levels if all(_is_beyond(one, sign) for one in level.scopes)]
        if found:
            changes = [one.change for level in found for one in level.scopes]
            *most, last = [level.level for level in found]
            names = f"{', '.join(most)} or {last}" if most else last
            fewest = min(len(level.scopes) for level in found)
            yield (
                f"Seen so far, and no rule yet: a lambda whose weight is {names} was {word} than lambda 0 in every "
                f"scope that has it ({signed(min(changes))} to {signed(max(changes))} %; {fewest} scopes or more, "
                "screening)."
            )


def _harmless(knobs: Sequence[KnobTable], margin: float) -> Iterator[str]:
    """Name the ranges of lambda that are expected to change nothing that matters in another scope."""
    levels = [level for knob in knobs if knob.knob == LAMBDA.name for level in knob.levels]
    pooled = [(level.level, level.pooled) for level in levels if level.pooled and level.pooled.k >= LEAST_SCOPES]
    found = [f"{name} ({expected_words(one)})" for name, one in pooled if _is_within(one, margin, len(pooled))]
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


def _is_beyond(one: InScope, sign: int) -> bool:
    return one.error is not None and sign * math.log1p(one.change) > SURELY * one.error


def _sweeps(rows: Sequence[ScopeRow], expected: Expectation | None) -> Iterator[str]:
    fresh = [row.best for row in rows if row.best and row.best.stage == "confirm"]
    if fresh:
        counts = [
            f"{sum(one.standing == standing for one in fresh)} {words}"
            for standing, words in (("confirmed helps", "to help"), ("confirmed hurts", "to hurt"))
        ]
        yield (
            f"Of the settings that the screens of {counted(len(fresh), 'scope')} ranked first, fresh seeds confirm "
            f"{' and '.join(counts)}."
        )
    if expected:
        words = f"{expected_words(expected)}; {likeness(expected)}"
        yield f"The change of a screen's first setting against lambda 0 is {words}."


def _evidence(one: Heuristic) -> str:
    against = "the knob's other levels" if one.kind == "prefer" else "lambda 0"
    held = sum(check.outcome == "holds" for check in one.checks)
    return f"Against {against} {expected_words(one.pooled)}; it held in {held} of {len(one.checks)} checks."


def check_words(margin: float) -> str:
    """Say what a rule has to pass."""
    return (
        "A rule is a heuristic if its direction is shown over scopes (one-sided, Holm over all rules, 5 % together), "
        "if the 95 % prediction interval holds no effect of the other sign, and if, made again without each scope and "
        f"without each data set, it comes out the same and costs at most {percent(margin)} against the best that the "
        "scope left out has."
    )
