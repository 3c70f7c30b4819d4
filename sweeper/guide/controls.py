"""Does a plain control arm do what dispersion does? Settings that help beside controls, on the same fresh seeds."""

from __future__ import annotations

from itertools import product

import numpy as np

from sweeper.guide.claims import Claims
from sweeper.guide.contrast import change_of
from sweeper.guide.evidence import Evidence
from sweeper.guide.statements import Claim, ControlComparison
from sweeper.inference.levels import INTERVAL_ALPHA
from sweeper.inference.paired import Paired

ALPHA = 0.05


def against_controls(known: Evidence, made: Claims) -> tuple[ControlComparison, ...]:
    """Set every setting that is confirmed to help against every control arm; intervals hold together.

    Not being shown better than a plain control is what a reader must know, so the test is lenient: one-sided at 5 %
    for one comparison by itself.
    """
    helping = [claim for claim in made.settings if claim.standing == "confirmed helps"]
    plain = [claim for claim in made.beside if known.cells[claim.key].role == "control" and claim.change]
    pairs = list(product(helping, plain))
    found = (_compare(known, setting, control, len(pairs)) for setting, control in pairs)
    return tuple(one for one in found if one is not None)


def _compare(known: Evidence, setting: Claim, control: Claim, together: int) -> ControlComparison | None:
    fresh = known.stages["confirm"]
    logs = fresh.logs()
    differences = logs[fresh.row[setting.key]] - logs[fresh.row[control.key]]
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return None
    paired = Paired(differences)
    return ControlComparison(
        setting=setting.label,
        control=control.label,
        change=change_of(paired.n, paired.mean, *paired.interval(INTERVAL_ALPHA / together)),
        better=paired.p_value("lower") < ALPHA,
        control_standing=control.standing,
    )


def rival(comparisons: tuple[ControlComparison, ...], made: tuple[Claim, ...]) -> ControlComparison | None:
    """Return a comparison in which a control does as well: it lowers the objective, and is not shown to be beaten."""
    for one in comparisons:
        control = next((claim for claim in made if claim.label == one.control), None)
        lowers = control is not None and control.change is not None and control.change.mean < 0
        if lowers and not one.better:
            return one
    return None
