"""Which rules hold across scopes: tested over scopes, predicted for an unseen one, checked by leaving scopes out.

Works on arrays alone, so that its error rates can be simulated (`tests/simulation/atlas.py`).

Shapes: S scopes, L levels of a knob; NaN where a scope does not have a level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from sweeper.guide.atlas.schema import CheckOutcome, RuleKind
from sweeper.statistics.meta_analysis import Pooled, pool
from sweeper.statistics.paired_tests import holm

Matrix = npt.NDArray[np.float64]

LEAST_SCOPES = 5  # with fewer, a rule made without one of them rests on three
FAMILY_ALPHA = 0.05  # the chance of a false rule in an atlas without any effect
FOLD_ALPHA = 0.05  # of a rule derived without one scope, which is then checked there
ONE_SIDED_95 = 1.645
MOST_OPEN = 0.25  # share of the scopes left out in which noise may hide whether a rule holds


class Estimates(NamedTuple):
    """Changes of the log objective and their squared standard errors, both [S, L]."""

    effect_SL: Matrix
    variance_SL: Matrix


class KnobEvidence(NamedTuple):
    """The effect of every level of a knob in every scope: `against` lambda 0, and `among` the mean of the other levels.

    `is_weight`: lambda itself, whose levels are compared with lambda 0; for other knobs only the choice matters.
    `diverged` are levels with a setting that diverged anywhere: no rule tells anyone to use them.
    """

    knob: str
    levels: tuple[str, ...]
    against: Estimates
    among: Estimates
    is_weight: bool
    diverged: frozenset[str] = frozenset()


class Fold(NamedTuple):
    """A rule made without `left_out` scopes, in one of them: what following it there cost, on the log scale."""

    left_out: tuple[int, ...]
    scope: int
    made: bool
    cost: float
    outcome: CheckOutcome


class Judged(NamedTuple):
    """A rule, whether it passes, and if it does not, why; `p` is Holm's over all rules of the atlas."""

    knob: str
    level: str
    kind: RuleKind
    pooled: Pooled
    p: float
    folds: tuple[Fold, ...]
    reason: str

    @property
    def passes(self) -> bool:
        """Whether the rule is printed as a heuristic."""
        return not self.reason


class _Rule(NamedTuple):
    evidence: KnobEvidence
    place: int
    kind: RuleKind

    @property
    def tested(self) -> Estimates:
        return self.evidence.among if self.kind == "prefer" else self.evidence.against


def judge(knobs: Sequence[KnobEvidence], data_S: Sequence[int], margin: float) -> tuple[Judged, ...]:
    """Judge every rule with evidence from enough scopes; `data_S` numbers their data sets, `margin` is a log ratio.

    A rule passes if its direction is shown over scopes (Holm over all rules, 5 % together), if the prediction interval
    holds no effect of the other sign, and if the rule is made again, and holds, wherever a scope, or all scopes of a
    data set, are left out. From `LEAST_SCOPES` data sets on, they and not scopes are what is counted, so that a rule
    speaks of new data; below, it speaks of scopes of these data alone.
    """
    rules = [rule for evidence in knobs for rule in _rules(evidence)]
    pooled = [_pooled(rule, data_S) for rule in rules]
    known = [(rule, seen) for rule, seen in zip(rules, pooled, strict=True) if seen and seen.k >= LEAST_SCOPES]
    p_values = holm([_p(rule.kind, seen) for rule, seen in known])
    return tuple(_judged(rule, seen, float(p), data_S, margin) for (rule, seen), p in zip(known, p_values, strict=True))


def _rules(evidence: KnobEvidence) -> Iterator[_Rule]:
    kinds: tuple[RuleKind, ...] = ("use", "avoid") if evidence.is_weight else ("prefer",)
    for place in range(len(evidence.levels)):
        yield from (_Rule(evidence, place, kind) for kind in kinds)


def speaks_of_new_data(data_S: Sequence[int]) -> bool:
    """Whether there are data sets enough to count them instead of scopes."""
    return len(set(data_S)) >= LEAST_SCOPES


def pooled_over(effect_S: Matrix, variance_S: Matrix, data_S: Sequence[int]) -> Pooled | None:
    """Pool over scopes, or over data sets where there are enough of them, each the mean of its scopes."""
    known = [scope for scope in range(len(effect_S)) if np.isfinite(effect_S[scope]) and variance_S[scope] > 0]
    if not speaks_of_new_data(data_S):
        return pool(effect_S[known], variance_S[known])
    groups = [[scope for scope in known if data_S[scope] == one] for one in sorted({data_S[scope] for scope in known})]
    means = np.array([effect_S[group].mean() for group in groups])
    return pool(means, np.array([variance_S[group].sum() / len(group) ** 2 for group in groups]))


def _pooled(rule: _Rule, data_S: Sequence[int], without: Sequence[int] = ()) -> Pooled | None:
    effect_S, variance_S = (part[:, rule.place].copy() for part in rule.tested)
    effect_S[list(without)] = np.nan
    return pooled_over(effect_S, variance_S, data_S)


def _p(kind: RuleKind, seen: Pooled) -> float:
    return seen.p_higher if kind == "avoid" else seen.p_lower


def _judged(rule: _Rule, seen: Pooled, p: float, data_S: Sequence[int], margin: float) -> Judged:
    level = rule.evidence.levels[rule.place]
    folds = tuple(_folds(rule, data_S, margin)) if p <= FAMILY_ALPHA else ()
    reason = _reason(rule, seen, p, folds)
    return Judged(rule.evidence.knob, level, rule.kind, seen, p, folds, reason)


def _reason(rule: _Rule, seen: Pooled, p: float, folds: tuple[Fold, ...]) -> str:
    assert seen.expect_low is not None
    assert seen.expect_high is not None
    if p > FAMILY_ALPHA:
        return "not shown over scopes"
    if seen.expect_low < 0 if rule.kind == "avoid" else seen.expect_high > 0:
        return "in a scope not yet seen it may do the opposite"
    if rule.kind != "avoid" and rule.evidence.levels[rule.place] in rule.evidence.diverged:
        return "a setting of this level diverged"
    if not all(fold.made for fold in folds):
        return "without one scope or data set the rule is not made"
    if any(fold.outcome == "fails" for fold in folds):
        return "it costs more than the margin in a scope that was left out"
    opened = sum(fold.outcome == "open" for fold in folds)
    return "" if opened <= MOST_OPEN * len(folds) else "noise hides whether it holds in the scopes left out"


def _folds(rule: _Rule, data_S: Sequence[int], margin: float) -> Iterator[Fold]:
    groups: list[tuple[int, ...]] = [(scope,) for scope in range(len(data_S))]
    if len(set(data_S)) > 1:
        groups += [tuple(np.flatnonzero(np.equal(data_S, one)).tolist()) for one in sorted(set(data_S))]
    for group in dict.fromkeys(groups):
        made = _is_made(rule, group, data_S)
        for scope in group:
            if np.isfinite(rule.evidence.against.effect_SL[scope, rule.place]):
                cost, error = _cost(rule, scope)
                yield Fold(group, scope, made, cost, _outcome(cost, error, margin))


def _outcome(cost: float, error: float, margin: float) -> CheckOutcome:
    if cost <= margin:
        return "holds"
    return "open" if cost - ONE_SIDED_95 * error <= margin else "fails"


def _is_made(rule: _Rule, left_out: tuple[int, ...], data_S: Sequence[int]) -> bool:
    """Whether the other scopes give the same rule: shown there, and the best of the rules they would choose among."""
    seen = _pooled(rule, data_S, left_out)
    if seen is None or _p(rule.kind, seen) > FOLD_ALPHA:
        return False
    if rule.kind != "prefer":
        return True
    rivals = (_pooled(rule._replace(place=place), data_S, left_out) for place in range(len(rule.evidence.levels)))
    return all(rival is None or rival.k < seen.k or rival.mean >= seen.mean for rival in rivals)


def _cost(rule: _Rule, scope: int) -> tuple[float, float]:
    """Return what following the rule costs in a scope against the best it has there, and the standard error of that."""
    against, among = rule.evidence.against, rule.evidence.among
    effect_L, variance_L = against.effect_SL[scope], against.variance_SL[scope]
    own, error = float(effect_L[rule.place]), float(np.sqrt(variance_L[rule.place]))
    best = int(np.nanargmin(effect_L))
    match rule.kind:
        case "avoid":
            return max(0.0, -own), error
        case "use" if effect_L[best] >= 0:
            return own, error
        case "use" | "prefer":
            pass
        case _:
            assert_never(rule.kind)
    between = among.variance_SL[scope]
    return own - float(effect_L[best]), float(np.sqrt(between[rule.place] + between[best]))
