"""Rules that travel, on arrays: what passes, and what each check takes out."""

import numpy as np
import pytest

from sweeper.guide.atlas.heuristics import LEAST_SCOPES, Estimates, Judged, KnobEvidence, judge, pooled_over

MARGIN = 0.05
DATA = [0, 0, 0, 1, 1, 1, 2, 2]
ERROR = 0.01


def lambdas(*level_S: list[float], diverged: frozenset[str] = frozenset()) -> KnobEvidence:
    effect_SL = np.array(level_S).T
    seen = Estimates(effect_SL, np.full_like(effect_SL, ERROR**2))
    levels = tuple("abc"[: effect_SL.shape[1]])
    return KnobEvidence("lambda", levels, seen, seen, True, diverged)


def only(judged: tuple[Judged, ...], kind: str, level: str = "a") -> Judged:
    return next(one for one in judged if (one.kind, one.level) == (kind, level))


def near(value: float) -> list[float]:
    return [value + 0.005 * (-1) ** place for place in range(len(DATA))]


def test_an_effect_of_one_sign_in_every_scope_passes() -> None:
    found = only(judge([lambdas(near(-0.1))], DATA, MARGIN), "use")
    assert found.passes
    assert len(found.folds) == 2 * len(DATA)


def test_noise_alone_does_not() -> None:
    assert only(judge([lambdas(near(0.0))], DATA, MARGIN), "use").reason == "not shown over scopes"


def test_an_effect_that_differs_much_between_scopes_may_be_the_opposite_elsewhere() -> None:
    differs = [-0.3, -0.02, -0.3, -0.02, -0.3, -0.02, -0.3, -0.02]
    found = only(judge([lambdas(differs)], DATA, MARGIN), "use")
    assert found.p <= 0.05
    assert found.reason == "in a scope not yet seen it may do the opposite"


def test_a_level_that_another_one_beats_by_more_than_the_margin_is_no_heuristic() -> None:
    judged = judge([lambdas(near(-0.1), near(-0.3))], DATA, MARGIN)
    assert "margin" in only(judged, "use", "a").reason
    assert only(judged, "use", "b").passes


def test_a_level_with_a_divergence_is_not_recommended() -> None:
    found = only(judge([lambdas(near(-0.1), diverged=frozenset("a"))], DATA, MARGIN), "use")
    assert found.reason == "a setting of this level diverged"


def test_harm_is_avoided_where_it_travels() -> None:
    judged = judge([lambdas(near(0.2))], DATA, MARGIN)
    assert only(judged, "avoid").passes
    assert not only(judged, "use").passes


def test_too_few_scopes_are_not_judged() -> None:
    evidence = lambdas(near(-0.1)[: LEAST_SCOPES - 1])
    assert judge([evidence], DATA[: LEAST_SCOPES - 1], MARGIN) == ()


def test_from_five_data_sets_on_they_are_counted_instead_of_scopes() -> None:
    effect_S, variance_S = np.array(near(-0.1)), np.full(len(DATA), ERROR**2)
    few, many = (pooled_over(effect_S, variance_S, data) for data in (DATA, [0, 0, 0, 0, 1, 2, 3, 4]))
    assert few is not None
    assert many is not None
    assert (few.k, many.k) == (8, 5)


def test_a_scope_without_the_level_is_neither_counted_nor_checked() -> None:
    level_S = near(-0.1)
    level_S[3] = float("nan")
    found = only(judge([lambdas(level_S)], DATA, MARGIN), "use")
    assert found.pooled.k == 7
    assert 3 not in {fold.scope for fold in found.folds}


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_scopes_there_is_nothing_to_pool(count: int) -> None:
    assert pooled_over(np.zeros(count), np.ones(count), [0] * count) is None
