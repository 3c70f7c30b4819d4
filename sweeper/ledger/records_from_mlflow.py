"""Reading the ledger: records for guides and exports, rebuilt from MLflow and the undelivered events."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeper.errors import DataError, SetupError, StudyError
from sweeper.ledger import events, tags
from sweeper.ledger.events import trial_file
from sweeper.ledger.liveness import ensure_answers
from sweeper.ledger.mlflow_process import prepare_mlflow
from sweeper.ledger.mlflow_states import trial_state
from sweeper.ledger.outbox import lines_of
from sweeper.ledger.replay import Replay
from sweeper.records import Facts, Provenance, Rung, StudyRecord, TrialRecord, TrialSpec, TrialState
from sweeper.study import Study

if TYPE_CHECKING:
    from sweeper.ledger.mlflow_runs import Reader, Row

log = logging.getLogger(__name__)

LISTS = {"fresh_seeds": tags.FRESH_SEEDS, "looks": tags.LOOKS, "added": tags.ADDED}


def read_study(uri: str, study_name: str, outbox: Path | None = None) -> StudyRecord:
    """Read a study with every trial that was started or dropped, in the order of their starts.

    `outbox` is where the study's events lie on this machine: those that the store does not have yet are added, and
    where the store does not answer, or has nothing, they alone are the record. Raises StudyError where nothing is
    recorded, SetupError where the store does not answer, DataError where someone else changed what was recorded.
    """
    pending = _events(outbox, undelivered=True)  # before the store is read, so that no event is missed by both
    try:
        known = _recorded(uri, study_name)
    except (SetupError, StudyError) as error:
        whole = Replay()
        whole.take(_events(outbox, undelivered=False))
        if (record := whole.record()) is None:
            raise
        if isinstance(error, SetupError):
            log.warning("%s; the record is read from this workspace alone", error.message)
        return record
    replay = Replay(known)
    replay.take(pending)
    return replay.record() or known


def _recorded(uri: str, study_name: str) -> StudyRecord:
    rows = list(_reader(uri, study_name).rows())
    parents = [row for row in rows if row.key == tags.STUDY_KEY]
    if not parents:
        raise StudyError(f"study '{study_name}' is not recorded yet", "wait until its first trial runs")
    try:
        study = tags.record_from(parents[0].tags, tags.STUDY, Study)
        provenance = tags.record_from(parents[0].tags, tags.PROVENANCE, Provenance)
        trials = tuple(_trial(row) for row in rows if row.key != tags.STUDY_KEY)
        lists = {name: json.loads(parents[0].tags.get(tag, "[]")) for name, tag in LISTS.items()}
        return StudyRecord.model_validate({"study": study, "provenance": provenance, "trials": trials, **lists})
    except ValueError as error:
        remedy = "someone else changed its tags in MLflow; 'sweeper run' in a new workspace records it again"
        raise DataError(f"the record of study '{study_name}' cannot be read: {error}", remedy) from error


def _events(outbox: Path | None, undelivered: bool) -> list[events.AnyEvent]:
    found = []
    for line in lines_of(outbox, undelivered) if outbox else ():
        with contextlib.suppress(ValueError):  # of another version, or damaged: the ledger sets it aside as well
            found.append(events.from_line(line))
    return found


class TrialFiles:
    """The files of a study's trials: its GRID (PNG) and WEIGHTS (safetensors), beside the outbox or in the store."""

    def __init__(self, uri: str, study_name: str, outbox: Path | None = None) -> None:
        """Connect when the first file is read that does not lie beside `outbox`."""
        self._uri, self._study_name, self._outbox = uri, study_name, outbox
        self._reader: Reader | None = None
        self._failure: SetupError | StudyError | None = None

    def read(self, key: str, name: str) -> bytes | None:
        """Return a file of the trial with this key; None where it has none.

        Raises as `read_study` does where the store is needed and does not answer: slowly once, then at once.
        """
        if self._outbox and (file := self._outbox.parent / trial_file(key, name)).is_file():
            return file.read_bytes()
        if self._failure:
            raise self._failure
        try:
            self._reader = self._reader or _reader(self._uri, self._study_name)
            row = self._reader.find(key)
            return self._reader.artifact(row.run_id, name) if row else None
        except (SetupError, StudyError) as error:
            self._failure = error
            raise


def remove_study(uri: str, study_name: str, artifacts: Path | None) -> None:
    """Remove a study's record and its files in `artifacts`; raise SetupError where the store does not answer."""
    ensure_answers(uri)
    prepare_mlflow()
    from sweeper.ledger.mlflow_removal import remove_experiment

    remove_experiment(uri, study_name, artifacts)


class Owner(NamedTuple):
    """Whose records an experiment holds: an id (empty before studies had one), in words, and the study if recorded."""

    id: str
    words: str
    study: Study | None


def owner_of(uri: str, study_name: str) -> Owner:
    """Return whose records lie under a study's name. Raises StudyError where none do, SetupError without an answer."""
    reader = _reader(uri, study_name)
    parent, known = reader.find(tags.STUDY_KEY), reader.tags()
    study = tags.record_from(parent.tags, tags.STUDY, Study) if parent else None
    return Owner(known.get(tags.ID, ""), known.get(tags.OWNER, f"an older record of {study_name!r}"), study)


def counts(uri: str, study_name: str) -> dict[TrialState, int]:
    """Count a study's trials by MLflow's own status of their runs; the state tells pruned from diverged.

    A trial that waits has no run and is not counted.
    """
    rows = _reader(uri, study_name).rows()
    return dict(Counter(_state(row) for row in rows if row.key != tags.STUDY_KEY))


def _reader(uri: str, study_name: str) -> Reader:
    ensure_answers(uri)
    prepare_mlflow()
    from sweeper.ledger.mlflow_runs import Reader

    return Reader(uri, study_name)


def _state(row: Row) -> TrialState:
    return trial_state(row.status, row.tags.get(tags.STATE))


def _trial(row: Row) -> TrialRecord:
    steps = tags.rung_steps(row.tags)
    given = {
        "spec": tags.record_from(row.tags, tags.SPEC, TrialSpec),
        "state": _state(row),
        "rungs": tuple(tags.record_from(row.tags, f"{tags.RUNG}{step}", Rung) for step in steps),
        "facts": tags.record_from(row.tags, tags.FACTS, Facts),
        "note": row.tags.get(tags.NOTE, ""),
        "audited": tags.AUDITED in row.tags,
        "weights": events.WEIGHTS if tags.WEIGHTS in row.tags else "",
    }
    return TrialRecord.model_validate(given)
