"""The outcome of each study's sweep: the setting its screen ranked first, on fresh seeds where there are any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweeper.guide.analysis.confirm_test import of
from sweeper.guide.analysis.contrasts import change_of, log_differences
from sweeper.guide.analysis.stage_table import Matrix, StageTable
from sweeper.guide.analysis.worth_confirming import ranked
from sweeper.guide.atlas.members import Member
from sweeper.guide.atlas.schema import Best
from sweeper.statistics.error_budget import INTERVAL_ALPHA
from sweeper.statistics.paired_tests import Paired


class Found(NamedTuple):
    """The setting, and its paired differences to lambda 0, [J]."""

    best: Best
    difference_J: Matrix

    @property
    def variance(self) -> float:
        """The squared standard error of the mean difference."""
        return float(self.difference_J.var(ddof=1) / len(self.difference_J))

    @property
    def is_fresh(self) -> bool:
        """Whether the seeds took no part in choosing the setting, and are enough for an error."""
        return self.best.stage == "confirm" and len(self.difference_J) > 1 and self.variance > 0


def best_setting(member: Member) -> Found | None:
    """Return the outcome of a study's sweep; None where no setting ran to its end."""
    screen, fresh = member.known.stages.get("screen"), member.known.stages.get("confirm")
    if screen is None:
        return None
    grid = [key for key in screen.keys if member.known.cells[key].role == "grid" and not screen.audited(key)]
    logs = screen.logs()
    known = {key: [float(y) for y in logs[screen.row[key]] if np.isfinite(y)] for key in grid}
    order = ranked({key: values for key, values in known.items() if "pruned" not in screen.states(key)})
    if fresh is not None and member.guide.claims:
        taken = next((key for key in order if len(_differences(fresh, key)) > 1), None)
        if taken is not None:
            return _found(member, fresh, taken)
    return _found(member, screen, order[0]) if order else None


def _differences(table: StageTable, key: str) -> Matrix:
    if key not in table.row:
        return np.empty(0)
    difference_J = log_differences(table)[table.row[key]]
    return np.asarray(difference_J[np.isfinite(difference_J)])


def _found(member: Member, table: StageTable, key: str) -> Found | None:
    difference_J = _differences(table, key)
    if not len(difference_J):
        return None
    interval = Paired(difference_J, table.least_noise()).interval(INTERVAL_ALPHA) if len(difference_J) > 1 else ()
    claim = of(member.guide.claims, key)
    best = Best(
        label=member.known.cells[key].label,
        stage=table.stage,
        change=change_of(len(difference_J), float(difference_J.mean()), *interval),
        standing=claim.standing if claim and table.stage == "confirm" else None,
    )
    return Found(best, difference_J)
