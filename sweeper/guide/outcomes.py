"""What was measured beside the objective, cell by cell."""

from __future__ import annotations

import numpy as np

from sweeper.guide.evidence import Evidence, average, spread
from sweeper.guide.results import Outcome, OutcomeRow, StageResult

OUTCOMES = ("val_loss", "kid", "precision", "recall", "nearest_train_ratio")


def outcomes(known: Evidence, main: StageResult) -> tuple[OutcomeRow, ...]:
    """Average every other outcome over the complete trials of each cell."""
    table = known.main
    if table is None:
        return ()
    scores = {metric: table.scores(metric) for name in OUTCOMES for metric in table.metrics if _is_metric(metric, name)}
    rows = []
    for one in (main.baseline, *main.rows):
        if one is None:
            continue
        values = {metric: scores[metric][table.row[one.key]] for metric in scores}
        found = tuple(
            Outcome(metric=metric, mean=mean, sd=spread(part), n=int(np.isfinite(part).sum()))
            for metric, part in values.items()
            if (mean := average(part)) is not None
        )
        rows.append(OutcomeRow(key=one.key, label=one.cell.label, outcomes=found))
    return tuple(row for row in rows if row.outcomes)


def _is_metric(metric: str, name: str) -> bool:
    rest = metric.removeprefix(name)
    return metric.startswith(name) and (not rest or rest[1:2].isdigit())
