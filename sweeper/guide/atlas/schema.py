"""The contents of an atlas: frozen, plain, and written beside it as atlas.json. Every number a reader sees is here."""

from __future__ import annotations

from typing import Literal

from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Standing
from sweeper.records import Stage
from trainer.recipe import Frozen

ATLAS_FILE = "atlas.json"

RuleKind = Literal["use", "avoid", "prefer"]
CheckOutcome = Literal["holds", "open", "fails"]
LambdaUnit = Literal["gradient ratio", "loss ratio"]


class Unused(Frozen):
    """A study that the atlas leaves out, wholly or for some knobs, and why."""

    study: str
    reason: str


class Best(Frozen):
    """What came of a study's sweep: the setting that its screen ranked first, `change` to lambda 0.

    Fresh seeds are free of selection bias; the screen's own (`stage` is 'screen') are not, and do not enter the
    expectation for other scopes. `standing` is the study's own claim about this setting.
    """

    label: str
    stage: Stage
    change: Change
    standing: Standing | None = None


class ScopeRow(Frozen):
    """A scope: one data set, model, objective and training. Studies that share it share their trials' random numbers.

    `data` and `scope` are numbers from 1: scopes with one `data` were trained on the same images, or on a part of them.
    """

    scope: int
    data: int
    studies: tuple[str, ...]
    words: str
    objective: str
    schedule: str
    settings: int
    saturated: int
    best: Best | None


class Expectation(Frozen):
    """Changes of several scopes as one: the mean with its 95 % interval, and what to expect in a scope not yet seen.

    All are fractions (0.04 is 4 % more). `expect_low` and `expect_high` are the 95 % prediction interval of the true
    change there, None below three scopes. `unlike` is the share of the differences between scopes that is not noise
    (I^2), `spread` their standard deviation, of logarithms.
    """

    k: int
    mean: float
    low: float
    high: float
    expect_low: float | None
    expect_high: float | None
    spread: float
    unlike: float


class InScope(Frozen):
    """A level in one scope: its mean change to lambda 0, the standard error of the log ratio, seeds and settings.

    `stopped` of the settings ended early and count with their last rung's figures.
    """

    scope: int
    study: str
    change: float
    error: float | None
    seeds: int
    settings: int
    stopped: int = 0


class LevelRow(Frozen):
    """A level of a knob, in units that may travel, over the scopes that have it; `diverged` settings have no score.

    `lambdas` are the values that studies wrote for it, where the knob is lambda.
    """

    level: str
    scopes: tuple[InScope, ...]
    pooled: Expectation | None
    diverged: int = 0
    lambdas: tuple[float, ...] = ()


class KnobTable(Frozen):
    """A knob's levels against lambda 0; `unit` says in what its values are given."""

    knob: str
    unit: str
    levels: tuple[LevelRow, ...]


class Check(Frozen):
    """A rule that was made without `left_out` scopes, in one of them: what following it there cost, as a fraction."""

    left_out: tuple[int, ...]
    scope: int
    made: bool
    cost: float
    outcome: CheckOutcome


class Heuristic(Frozen):
    """A rule for scopes not yet seen; `reason` says why it is none.

    `pooled` is against lambda 0 for 'use' and 'avoid', and against the knob's other levels for 'prefer'; `p` is
    one-sided, corrected for all rules of the atlas (Holm).
    """

    knob: str
    level: str
    kind: RuleKind
    rule: str
    pooled: Expectation
    p: float
    checks: tuple[Check, ...]
    reason: str = ""


class Atlas(Frozen):
    """All that an atlas says. `margin` is a relative change of `metric` that matters, the smallest of its studies'.

    Its JSON schema is published by `sweeper schema --of atlas`.
    """

    metric: str
    margin: float
    headline: str
    points: tuple[str, ...]
    scopes: tuple[ScopeRow, ...]
    data_sets: tuple[str, ...]
    expected: Expectation | None
    knobs: tuple[KnobTable, ...]
    heuristics: tuple[Heuristic, ...]
    rejected: tuple[Heuristic, ...]
    untested: int
    lambda_unit: LambdaUnit
    unused: tuple[Unused, ...]
    advice: tuple[str, ...] = ()  # for a model that none of these studies trained; earlier atlases lack it
