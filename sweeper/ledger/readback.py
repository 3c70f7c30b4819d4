"""The study's memory, read: records for guides and exports, rebuilt from MLflow alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeper.errors import DataError, StudyError
from sweeper.ledger import tags
from sweeper.ledger.mlflow_process import prepare_environment
from sweeper.records import Facts, Provenance, Rung, StudyRecord, TrialRecord, TrialSpec, TrialState
from sweeper.study import Study

if TYPE_CHECKING:
    from sweeper.ledger.tracking import Reader, Row

GRID = "samples.png"
STATES: Mapping[str, TrialState] = {"RUNNING": "running", "FINISHED": "complete", "FAILED": "failed"}


def read_study(uri: str, study_name: str) -> StudyRecord:
    """Read a study with every trial that was started or dropped, in the order of their starts.

    Raises StudyError where nothing is recorded, SetupError where the store does not answer, DataError where someone
    else changed what was recorded.
    """
    rows = list(_reader(uri, study_name).rows())
    parents = [row for row in rows if row.key == tags.STUDY_KEY]
    if not parents:
        raise StudyError(f"study '{study_name}' is not recorded yet", "wait until its first trial runs")
    try:
        study = tags.record_from(parents[0].tags, tags.STUDY, Study)
        provenance = tags.record_from(parents[0].tags, tags.PROVENANCE, Provenance)
        trials = tuple(_trial(row) for row in rows if row.key != tags.STUDY_KEY)
        seeds = json.loads(parents[0].tags.get(tags.FRESH_SEEDS, "[]"))
        return StudyRecord.model_validate(
            {"study": study, "provenance": provenance, "trials": trials, "fresh_seeds": seeds}
        )
    except ValueError as error:
        remedy = "someone else changed its tags in MLflow; 'sweeper run' in a new workspace records it again"
        raise DataError(f"the record of study '{study_name}' cannot be read: {error}", remedy) from error


def read_grid(uri: str, study_name: str, key: str) -> bytes | None:
    """Read the sample grid (PNG) of the trial with this key, or None where it has none."""
    reader = _reader(uri, study_name)
    row = reader.find(key)
    return reader.artifact(row.run_id, GRID) if row else None


def counts(uri: str, study_name: str) -> dict[TrialState, int]:
    """Count a study's trials by MLflow's own status of their runs; the state tells pruned from diverged.

    A trial that waits has no run and is not counted.
    """
    rows = _reader(uri, study_name).rows()
    return dict(Counter(_state(row) for row in rows if row.key != tags.STUDY_KEY))


def _reader(uri: str, study_name: str) -> Reader:
    prepare_environment()
    from sweeper.ledger.tracking import Reader

    return Reader(uri, study_name)


def _state(row: Row) -> TrialState:
    if row.status == "KILLED":
        return "diverged" if row.tags.get(tags.STATE) == "diverged" else "pruned"
    return STATES[row.status]


def _trial(row: Row) -> TrialRecord:
    steps = tags.rung_steps(row.tags)
    given = {
        "spec": tags.record_from(row.tags, tags.SPEC, TrialSpec),
        "state": _state(row),
        "rungs": tuple(tags.record_from(row.tags, f"{tags.RUNG}{step}", Rung) for step in steps),
        "facts": tags.record_from(row.tags, tags.FACTS, Facts),
        "note": row.tags.get(tags.NOTE, ""),
        "audited": tags.AUDITED in row.tags,
    }
    return TrialRecord.model_validate(given)
