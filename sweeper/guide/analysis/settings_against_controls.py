"""Does a control arm do what dispersion does? Settings that help beside arms at lambda 0, on the same fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from sweeper.guide.analysis.confirm_test import Claims
from sweeper.guide.analysis.contrasts import change_of
from sweeper.guide.analysis.fresh_looks import fresh_differences, paired
from sweeper.guide.analysis.stage_table import Evidence
from sweeper.guide.schema.statements import Claim, ControlComparison
from sweeper.records import Cell
from sweeper.statistics.error_budget import AGAINST_ALPHA, INTERVAL_ALPHA
from sweeper.statistics.looks import PairedInLooks
from sweeper.statistics.paired_tests import holm

HALF = 0.5


def against_controls(known: Evidence, made: Claims) -> tuple[ControlComparison, ...]:
    """Compare every setting that is confirmed to help with every control at lambda 0; Holm over all pairs.

    The intervals hold together.
    """
    helping = [claim for claim in made.settings if claim.standing == "confirmed helps"]
    # A control that uses the Dispersive Loss itself is no alternative to it.
    controls = [claim for claim in made.beside if _is_without_dispersion(known.cells[claim.key]) and claim.change]
    pairs = [
        (setting, control, tested)
        for setting, control in product(helping, controls)
        if (tested := _paired(known, setting.key, control.key))
    ]
    adjusted = holm([tested.p_value("lower") for _, _, tested in pairs])
    return tuple(
        ControlComparison(
            setting=setting.label,
            control=control.label,
            change=change_of(tested.n, tested.mean, *tested.interval(INTERVAL_ALPHA / len(pairs))),
            better=p <= AGAINST_ALPHA,
            control_standing=control.standing,
            times=_times(control, setting),
        )
        for (setting, control, tested), p in zip(pairs, adjusted, strict=True)
    )


def _times(control: Claim, setting: Claim) -> float | None:
    if control.change is None or setting.change is None or setting.change.mean == 0:
        return None
    return math.log1p(control.change.mean) / math.log1p(setting.change.mean)


def _is_without_dispersion(cell: Cell) -> bool:
    return cell.role == "control" and cell.dispersion.lam == 0


def _paired(known: Evidence, setting: str, control: str) -> PairedInLooks | None:
    fresh = known.stages["confirm"]
    difference_S = fresh_differences(known, fresh, setting, known.objective, against=control)
    difference_S = difference_S[~np.isnan(difference_S)]
    if np.isfinite(difference_S).sum() < 2:
        return None
    return paired(known, fresh, difference_S, known.objective)


def rival(setting: Claim, comparisons: Sequence[ControlComparison]) -> ControlComparison | None:
    """Return the comparison with the strongest rival: a control with at least half the setting's gain, not beaten."""
    own = [comparison for comparison in comparisons if comparison.setting == setting.label and not comparison.better]
    rivals = [comparison for comparison in own if comparison.times is not None and comparison.times >= HALF]
    return max(rivals, key=lambda comparison: comparison.times or 0.0, default=None)
