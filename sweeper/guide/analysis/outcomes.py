"""The metrics measured beside the objective, cell by cell."""

from __future__ import annotations

import numpy as np

from sweeper.guide.analysis.stage_table import Evidence, means, spreads
from sweeper.guide.schema.results import Outcome, OutcomeRow, StageResult
from trainer.recipe import recorded_metrics
from trainer.recipe.metrics import Place

OUTCOMES: frozenset[Place] = frozenset({"claimed", "shown"})


def outcomes(known: Evidence, main: StageResult) -> tuple[OutcomeRow, ...]:
    """Average every other outcome over the complete trials of each cell."""
    table = known.main
    if table is None:
        return ()
    recorded = [known for known in recorded_metrics(table.metrics) if table.minimised.place(known) in OUTCOMES]
    scores = {known.name: table.scores(known.name) for known in recorded}
    columns = {
        metric: (means(values), spreads(values), np.isfinite(values).sum(axis=1)) for metric, values in scores.items()
    }
    rows = []
    for cell in (main.baseline, *main.rows):
        row = table.row[cell.key] if cell else 0
        measured = tuple(
            Outcome(metric=metric, mean=mean, sd=sd[row], n=int(n[row]))
            for metric, (mean_C, sd, n) in columns.items()
            if (mean := mean_C[row]) is not None
        )
        if cell and measured:
            rows.append(OutcomeRow(key=cell.key, label=cell.cell.label, outcomes=measured))
    return tuple(rows)
