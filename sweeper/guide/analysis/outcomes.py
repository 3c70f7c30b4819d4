"""What was measured beside the objective, cell by cell."""

from __future__ import annotations

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, means, spreads
from sweeper.guide.schema.results import Outcome, OutcomeRow, StageResult
from trainer.recipe import recorded_metrics


def outcomes(known: Evidence, main: StageResult) -> tuple[OutcomeRow, ...]:
    """Average every other outcome over the complete trials of each cell."""
    table = known.main
    if table is None:
        return ()
    recorded = recorded_metrics(table.metrics)
    scores = {name: table.scores(name) for name, metric, _ in recorded if metric.guide in ("claimed", "shown")}
    columns = {
        metric: (means(values), spreads(values), np.isfinite(values).sum(axis=1)) for metric, values in scores.items()
    }
    rows = []
    for one in (main.baseline, *main.rows):
        row = table.row[one.key] if one else 0
        found = tuple(
            Outcome(metric=metric, mean=mean, sd=sd[row], n=int(n[row]))
            for metric, (mean_C, sd, n) in columns.items()
            if (mean := mean_C[row]) is not None
        )
        if one and found:
            rows.append(OutcomeRow(key=one.key, label=one.cell.label, outcomes=found))
    return tuple(rows)
