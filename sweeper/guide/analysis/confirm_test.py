"""The confirm stage's test: every arm against the baseline on fresh seeds, in all claimed metrics, Holm-corrected.

A claim needs the whole confirm stage: every look that its schedule, fixed before the first fresh seed, calls for. The
screen took no part in these seeds, so it may choose what is tested, in which direction, and how noise is modelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.contrasts import change_of, fraction, log_differences
from sweeper.guide.analysis.fresh_looks import fresh_differences, looks_of, paired, settings_endings
from sweeper.guide.analysis.stage_table import Evidence, Matrix, StageTable
from sweeper.guide.schema.statements import Claim, Standing
from sweeper.records import BASELINE_KEY, FINAL_STATES
from sweeper.statistics.error_budget import (
    CONTROL_ALPHA,
    FEWEST_SEEDS,
    INTERVAL_ALPHA,
    OBJECTIVE_ALPHA,
    SIDE_ALPHA,
    SIDE_EQUIVALENCE_ALPHA,
)
from sweeper.statistics.look_families import equivalence_of
from sweeper.statistics.looks import Ending, PairedInLooks, direction_of
from sweeper.statistics.paired_tests import holm
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
    # One arm in one metric: what was tested, in which direction, or why it could not be, and after which look it ended.
    key: str
    label: str
    metric: str
    better: Better
    direction: Better
    paired: PairedInLooks | None
    reason: str
    look: int | None
    metrics: int  # in how many of them harm is looked for together

    @property
    def p(self) -> float:
        if self.paired is None or self.reason:
            return 1.0
        return self.paired.p_of_claim(self.direction, self.better, self.metrics)


def claims(known: Evidence, seeds: int | None) -> Claims:
    """Judge a finished confirm stage of `seeds` seeds; without one, or before it is finished, claim nothing."""
    fresh = known.stages.get("confirm")
    if fresh is None or not is_finished(known, fresh, seeds) or BASELINE_KEY not in fresh.row:
        return Claims()
    confirm = known.study.confirm or Confirm()
    settings = [key for key in fresh.keys if known.cells[key].role == "grid"]
    controls = [key for key in fresh.keys if known.cells[key].role == "control"]
    ended = _endings(known, fresh, settings)
    if any(ending.state == "open" for ending in ended.values()):
        return Claims()
    objective = [_test(known, fresh, key, known.objective, "lower", ended[key].look) for key in settings]
    arms = [_test(known, fresh, key, known.objective, "lower") for key in controls]
    outcomes = side_metrics(fresh)
    beside = [
        _test(known, fresh, key, metric, better, ended[key].look, len(outcomes))
        for metric, better in outcomes
        for key in settings
    ]
    equivalence = equivalence_of(confirm.margin, len(objective) + len(arms))
    side_equivalence = SIDE_EQUIVALENCE_ALPHA / max(1, len(beside))
    # The arms of one metric share a table, and their intervals hold together there.
    together = Counter(test.metric for test in (*objective, *arms, *beside))

    def judged(
        tests: Sequence[_Test], adjusted: Sequence[float], alpha: float, equivalent: float = equivalence.alpha
    ) -> tuple[Claim, ...]:
        return _judge(tests, adjusted, alpha, equivalence.margin, together, equivalent)

    return Claims(
        judged(objective, [ended[key].p for key in settings], OBJECTIVE_ALPHA),
        judged(arms, holm([test.p for test in arms]), CONTROL_ALPHA)
        + judged(beside, holm([test.p for test in beside]), SIDE_ALPHA, side_equivalence),
        finished=True,
    )


def _endings(known: Evidence, fresh: StageTable, settings: Sequence[str]) -> dict[str, Ending]:
    directions = [_direction(known, key, known.objective, "lower") for key in settings]
    return settings_endings(known, fresh, settings, directions)


def is_finished(known: Evidence, fresh: StageTable, seeds: int | None) -> bool:
    """Whether every trial of the confirm stage is decided; without looks, every arm must have run on every seed."""
    trials = [trial for row in fresh.trials for trial in row]
    if not all(trial.state in FINAL_STATES for trial in trials if trial):
        return False
    return bool(known.looks) or (None not in trials and (seeds is None or len(fresh.seeds) >= seeds))


def side_metrics(table: StageTable) -> list[tuple[str, Better]]:
    """The measured metrics beside the objective that claims are made about, each with its better direction."""
    claimed = [known for known in recorded_metrics(table.metrics) if table.minimised.place(known) == "claimed"]
    return [(known.name, known.metric.better) for known in claimed if known.metric.better]


def _test(
    known: Evidence,
    fresh: StageTable,
    key: str,
    metric: str,
    better: Better,
    look: int | None = None,
    metrics: int = 1,
) -> _Test:
    difference_S = fresh_differences(known, fresh, key, metric)
    # A control arm may go on for a setting's sake after its own answer, so it is judged on all the seeds it has.
    difference_S = difference_S[: look or int((~np.isnan(difference_S)).sum())]
    bad, ran = sum(state in ("diverged", "failed") for state in fresh.states(key)), len(difference_S)
    without_ratio, shared = _without_ratio(fresh, key, metric), int(np.isfinite(difference_S).sum())
    reason = ""
    if bad:
        reason = f"{bad} of {ran} fresh seeds diverged or failed"
    elif without_ratio:
        words = metric_name(metric, known.study.recipe.eval.distance)
        reason = f"{without_ratio} of {ran} fresh seeds have a {words} of 0 or less"
    elif shared < FEWEST_SEEDS:
        reason = "fewer than three fresh seeds shared with the baseline"
    looks = looks_of(known, fresh)
    tested = paired(known, fresh, difference_S, metric) if shared > 1 else None
    direction = _direction(known, key, metric, better)
    ended = ran if len(looks) > 1 else None
    return _Test(key, known.cells[key].label, metric, better, direction, tested, reason, ended, metrics)


def _without_ratio(fresh: StageTable, key: str, metric: str) -> int:
    """Count the seeds on which the arm or the baseline is 0 or less; leaving those out would choose by the outcome."""
    pair_2S = fresh.scores(metric)[[fresh.row[key], fresh.row[BASELINE_KEY]]]
    return int((pair_2S <= 0).any(axis=0).sum())


def _direction(known: Evidence, key: str, metric: str, better: Better) -> Better:
    """Return whether the arm was better or worse in the screen; better if it was not screened."""
    screen = known.stages.get("screen")
    seen = _differences(screen, key, metric) if screen and key in screen.row else np.array([])
    if not len(seen):
        return better
    return direction_of(float(seen.mean()))


def _differences(table: StageTable, key: str, metric: str) -> Matrix:
    difference_S = log_differences(table, metric)[table.row[key]]
    return np.asarray(difference_S[np.isfinite(difference_S)])


def _judge(
    tests: Sequence[_Test],
    adjusted: Sequence[float],
    alpha: float,
    margin: float,
    together: Mapping[str, int],
    equivalence: float,
) -> tuple[Claim, ...]:
    made = []
    for test, p in zip(tests, adjusted, strict=True):
        # The level that Holm's step gave this test: it is as often below p as p was multiplied.
        level = alpha * test.p / p if 0 < test.p < p <= alpha else alpha
        made.append(_claim(test, p <= alpha, p, level, margin, together[test.metric], equivalence))
    return tuple(made)


def _claim(test: _Test, confirmed: bool, p: float, level: float, margin: float, together: int, alpha: float) -> Claim:
    paired = test.paired
    if paired is None:
        return Claim(
            key=test.key, label=test.label, metric=test.metric, standing="not comparable", direction=test.direction,
            look=test.look, reason=test.reason,
        )  # fmt: skip
    equivalence, interval = paired.equivalence(margin), paired.interval(INTERVAL_ALPHA / together)
    within = equivalence <= alpha and not test.reason
    standing: Standing = "not comparable" if test.reason else _standing(test, paired, confirmed, within)
    furthest = interval.high if test.direction == "higher" else -interval.low
    if standing == "confirmed hurts" and (within or furthest <= margin):
        standing, within = "equivalent", True  # surely harmful, and surely by less than matters: negligible
    return Claim(
        key=test.key,
        label=test.label,
        metric=test.metric,
        standing=standing,
        direction=test.direction,
        change=change_of(paired.n, paired.mean, *interval),
        p=None if test.reason else p,
        equivalence=equivalence,
        within_margin=within,
        bound=fraction(paired.bound(test.direction, level)) if standing.startswith("confirmed") else None,
        look=test.look,
        reason=test.reason,
    )


def _standing(test: _Test, paired: PairedInLooks, confirmed: bool, within: bool) -> Standing:
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
