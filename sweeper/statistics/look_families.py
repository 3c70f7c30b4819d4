"""Which arms take the next fresh seeds: three families that are judged in looks, each at its own level.

Settings against lambda 0, control arms against lambda 0, and every setting that is confirmed to help against every
control arm at lambda 0, which asks whether weight decay, say, would have done as well. K settings, M controls, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from sweeper.statistics.effects import Matrix
from sweeper.statistics.error_budget import AGAINST_ALPHA, CONTROL_ALPHA, EQUIVALENCE_ALPHA, OBJECTIVE_ALPHA
from sweeper.statistics.looks import Ending, Equivalence, Judging, endings, log_ratios
from trainer.recipe import Better


def equivalence_of(margin: float, arms: int) -> Equivalence:
    """Return the equivalence test in the objective: a change within a relative margin, for one of so many arms."""
    return Equivalence(math.log1p(margin), EQUIVALENCE_ALPHA / max(1, arms))


class Arms(NamedTuple):
    """Arms of one kind: their objectives, [arms, S], and for each the direction in which it is tested.

    NaN is a trial that ended without a figure, or that an arm did not run because it had ended. Arms that are `marked`
    go on despite harm; settings that help are compared with `rivals`.
    """

    value_AS: Matrix
    directions: Sequence[Better]
    marked: Sequence[bool] = ()
    rivals: Sequence[bool] = ()


class Open(NamedTuple):
    """The indices of the arms that take the next look's seeds; lambda 0 does as long as any arm does."""

    settings: frozenset[int]
    controls: frozenset[int]


def still_open(baseline_S: Matrix, settings: Arms, controls: Arms, judging: Judging) -> Open:
    """Return which arms go on after a look that every open arm has finished.

    A control goes on while any setting is open, since settings that help will be compared with it, and while its own
    test is open. `controls.directions` are empty where controls have no looks of their own.
    """
    setting_K = _against_baseline(baseline_S, settings, judging, OBJECTIVE_ALPHA)
    control_M = _against_baseline(baseline_S, controls, judging, CONTROL_ALPHA) if controls.directions else []
    pairs = _pairs_open(settings, controls, setting_K, judging)
    open_K = {k for k, ending in enumerate(setting_K) if ending.state == "open"}
    open_M = {m for m, ending in enumerate(control_M) if ending.state == "open"}
    if open_K:
        open_M = set(range(len(controls.value_AS)))
    return Open(frozenset(open_K | {k for k, _ in pairs}), frozenset(open_M | {m for _, m in pairs}))


def _against_baseline(baseline_S: Matrix, arms: Arms, judging: Judging, alpha: float) -> list[Ending]:
    own_AS = arms.value_AS
    difference_AS = log_ratios(own_AS, np.broadcast_to(baseline_S, own_AS.shape), np.isnan(own_AS))
    return endings(difference_AS, arms.directions, judging, alpha, arms.marked)


def _pairs_open(settings: Arms, controls: Arms, setting_K: Sequence[Ending], judging: Judging) -> list[tuple[int, int]]:
    helping = [
        k
        for k, (ending, direction) in enumerate(zip(setting_K, settings.directions, strict=True))
        if ending.state == "confirmed" and direction == "lower"
    ]
    pairs = list(product(helping, (m for m, is_rival in enumerate(controls.rivals) if is_rival)))
    if not pairs:
        return []
    own_PS, rival_PS = settings.value_AS[[k for k, _ in pairs]], controls.value_AS[[m for _, m in pairs]]
    difference_PS = log_ratios(own_PS, rival_PS, np.isnan(own_PS))
    endings_P = endings(difference_PS, ["lower"] * len(pairs), judging._replace(equivalence=None), AGAINST_ALPHA)
    return [pair for pair, ending in zip(pairs, endings_P, strict=True) if ending.state == "open"]
