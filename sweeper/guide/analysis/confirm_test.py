"""What the fresh seeds confirm: every arm against the baseline, in the objective and beside it, with Holm's correction.

A claim needs the whole confirm stage: looking at half of its seeds and stopping when they please would be a test of
its own. The screen took no part in these seeds, so it may choose what is tested, and in which direction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of, log_differences
from sweeper.guide.analysis.stage_table import BASELINE, Evidence, Matrix, StageTable
from sweeper.guide.schema.statements import Claim, Standing
from sweeper.records import FINAL_STATES
from sweeper.statistics.levels import EQUIVALENCE_ALPHA, INTERVAL_ALPHA, OBJECTIVE_ALPHA, SIDE_ALPHA
from sweeper.statistics.paired_tests import Paired, holm
from sweeper.study import Confirm
from sweeper.text.numbers import metric_name
from trainer.recipe import Better, recorded_metrics

SUGGESTIVE = 0.025  # one-sided, of one comparison by itself


class Claims(NamedTuple):
    """Claims about the objective, and about other outcomes and controls; none before the stage is `finished`."""

    settings: tuple[Claim, ...] = ()
    beside: tuple[Claim, ...] = ()
    finished: bool = False


class _Test(NamedTuple):
    # One arm in one metric: what was tested, in which direction, or why it could not be.
    key: str
    label: str
    metric: str
    better: Better
    direction: Better
    paired: Paired | None
    reason: str


def claims(known: Evidence, seeds: int | None) -> Claims:
    """Judge a finished confirm stage of `seeds` seeds; nothing is claimed before it is finished, or without one."""
    fresh = known.stages.get("confirm")
    if fresh is None or not is_finished(fresh, seeds) or BASELINE not in fresh.row:
        return Claims()
    confirm = known.study.confirm or Confirm()
    margin = math.log1p(confirm.margin)
    settings = [key for key in fresh.keys if known.cells[key].role == "grid"]
    controls = [key for key in fresh.keys if known.cells[key].role == "control"]
    objective = [_test(known, fresh, key, known.objective, "lower") for key in settings]
    beside = [_test(known, fresh, key, known.objective, "lower") for key in controls]
    for metric, better in side_metrics(fresh):
        beside += [_test(known, fresh, key, metric, better) for key in settings]
    equivalence = EQUIVALENCE_ALPHA / max(1, len(objective) + len(beside))
    # The arms of one metric share a table, and their intervals hold together there.
    together = Counter(test.metric for test in (*objective, *beside))
    return Claims(
        _judge(objective, OBJECTIVE_ALPHA, margin, together, equivalence),
        _judge(beside, SIDE_ALPHA, margin, together, equivalence),
        finished=True,
    )


def is_finished(fresh: StageTable, seeds: int | None) -> bool:
    """Whether every arm of the confirm stage was decided on each of its seeds."""
    whole = all(trial is not None and trial.state in FINAL_STATES for row in fresh.trials for trial in row)
    return whole and (seeds is None or len(fresh.seeds) >= seeds)


def side_metrics(table: StageTable) -> list[tuple[str, Better]]:
    """The metrics beside the objective that were measured and that claims are made about; which way each is better."""
    found = [known for known in recorded_metrics(table.metrics) if table.minimised.place(known) == "claimed"]
    return [(known.name, known.metric.better) for known in found if known.metric.better]


def _test(known: Evidence, fresh: StageTable, key: str, metric: str, better: Better) -> _Test:
    differences = _differences(fresh, key, metric)
    bad = sum(state in ("diverged", "failed") for state in fresh.states(key))
    without_ratio = _without_ratio(fresh, key, metric)
    reason = ""
    if bad:
        reason = f"{bad} of {len(fresh.seeds)} fresh seeds diverged or failed"
    elif without_ratio:
        words = metric_name(metric, known.study.recipe.eval.distance)
        reason = f"{without_ratio} of {len(fresh.seeds)} fresh seeds have a {words} of 0 or less"
    elif len(differences) < 2:
        reason = "fewer than two fresh seeds shared with the baseline"
    paired = Paired(differences) if len(differences) > 1 else None
    label = known.cells[key].label
    return _Test(key, label, metric, better, _direction(known, key, metric, better), paired, reason)


def _without_ratio(fresh: StageTable, key: str, metric: str) -> int:
    """Count the seeds on which the arm or the baseline is 0 or less; leaving those out would choose by the outcome."""
    pair_2S = fresh.scores(metric)[[fresh.row[key], fresh.row[BASELINE]]]
    return int((pair_2S <= 0).any(axis=0).sum())


def _direction(known: Evidence, key: str, metric: str, better: Better) -> Better:
    """Take the side on which the screen saw the arm; where it did not, the better one."""
    screen = known.stages.get("screen")
    seen = _differences(screen, key, metric) if screen and key in screen.row else np.array([])
    if not len(seen):
        return better
    return "lower" if seen.mean() < 0 else "higher"


def _differences(table: StageTable, key: str, metric: str) -> Matrix:
    difference_S = log_differences(table, metric)[table.row[key]]
    return np.asarray(difference_S[np.isfinite(difference_S)])


def _judge(
    tests: list[_Test], alpha: float, margin: float, together: Mapping[str, int], equivalence: float
) -> tuple[Claim, ...]:
    raw = [test.paired.p_value(test.direction) if test.paired and not test.reason else 1.0 for test in tests]
    judged = zip(tests, holm(raw), strict=True)
    return tuple(_claim(test, p <= alpha, p, margin, together[test.metric], equivalence) for test, p in judged)


def _claim(test: _Test, confirmed: bool, p: float, margin: float, together: int, alpha: float) -> Claim:
    paired = test.paired
    if paired is None:
        return Claim(
            key=test.key, label=test.label, metric=test.metric, standing="not comparable", direction=test.direction,
            reason=test.reason,
        )  # fmt: skip
    equivalence = paired.equivalence(margin)
    within = equivalence <= alpha and not test.reason
    return Claim(
        key=test.key,
        label=test.label,
        metric=test.metric,
        standing="not comparable" if test.reason else _standing(test, paired, confirmed, within),
        direction=test.direction,
        change=change_of(paired.n, paired.mean, *paired.interval(INTERVAL_ALPHA / together)),
        p=None if test.reason else p,
        equivalence=equivalence,
        within_margin=within,
        reason=test.reason,
    )


def _standing(test: _Test, paired: Paired, confirmed: bool, within: bool) -> Standing:
    if confirmed:
        return "confirmed helps" if test.direction == test.better else "confirmed hurts"
    if within:
        return "equivalent"
    return (
        "suggestive"
        if min(paired.p_value("lower"), paired.p_value("higher")) < SUGGESTIVE
        else "no evidence either way"
    )


def of(claims_made: Iterable[Claim], key: str) -> Claim | None:
    """The claim about an arm, if there is one."""
    return next((claim for claim in claims_made if claim.key == key), None)
