"""How far a study is, as displays show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sweeper.coordinator.cohort_queue import CohortQueue
from sweeper.coordinator.heartbeats import Heartbeats
from sweeper.coordinator.stages import Stages
from sweeper.ledger import Ledger
from sweeper.records import Progress
from sweeper.study import Study


def progress_of(
    study: Study, stages: Stages, queue: CohortQueue, beats: Heartbeats, ledger: Ledger, lost: Mapping[str, str]
) -> Progress:
    """Describe trials by state, the best so far, what workers do, and what went wrong; `lost` has a reason a trial.

    Training losses that came since the last call go to the ledger's live curves.
    """
    running, best = queue.running(), stages.search.best()
    for point in beats.new_points(running):
        ledger.live.add(*point)
    reasons = (f"{reason} ({count} so far)" for reason, count in Counter(lost.values()).items())
    return Progress(
        stage=stages.stage,
        counts=dict(stages.counts()),
        lowest=f"{best.trial.cell.label}: {study.minimised.name()} {best.value:.3g}" if best else "",
        messages=(*ledger.messages(), *reasons),
        activities=beats.activities(running),
    )
