"""From the record to the guide: what is undelivered goes out first, then the guide is written from the ledger alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeper.errors import ConflictError, SetupError
from sweeper.workspace import Workspace

if TYPE_CHECKING:
    from sweeper.render import Format
    from sweeper.study import Study

DELIVERY_S = 60.0


class Published(NamedTuple):
    """A guide's path in the form asked for, and the study it is of.

    `delivered`: whether MLflow has everything; `failures`: why trials failed, each reason once.
    """

    guide: Path
    study: Study
    delivered: bool = True
    failures: tuple[str, ...] = ()


def publish(
    study_name: str, workspace: Workspace, reports: Path, form: Format = "markdown", told: Study | None = None
) -> Published:
    """Write a study's guide into `reports`/<name>, always also as markdown, and attach it to its record.

    `told` is the study as its file has it now, whose words go into the record first. A record that another process is
    writing, or whose store is elsewhere, is read as it is. Raises StudyError where nothing is recorded, SetupError
    where the store does not answer or the folder cannot be written.
    """
    from sweeper.ledger import Ledger

    outbox = workspace.folder(study_name) / "outbox.jsonl"
    if not outbox.exists():
        return _write(study_name, workspace, reports, form)
    try:
        ledger = Ledger(workspace.tracking_uri, workspace.artifacts, outbox, study_name, wait_s=0.0)
    except ConflictError:
        return _write(study_name, workspace, reports, form)._replace(delivered=False)
    with ledger:
        if told:
            ledger.study_told(told)
        ledger.flush(DELIVERY_S)
        written = _write(study_name, workspace, reports, form)
        ledger.artifact(written.guide.parent)
        delivered = ledger.flush(DELIVERY_S)
    _memory(workspace, study_name).write_text(json.dumps(_identity(_markdown(study_name, reports), written.study)))
    return written._replace(delivered=delivered)


def published(study: Study, workspace: Workspace, reports: Path) -> Path | None:
    """Return the guide (markdown) this workspace wrote last, if it still lies there unchanged and is of this study."""
    guide = _markdown(study.name, reports)
    try:
        known = json.loads(_memory(workspace, study.name).read_text())
        return guide if known == _identity(guide, study) else None
    except (OSError, ValueError):
        return None


def forget(study_name: str, workspace: Workspace) -> None:
    """Make the next run write the guide again, for the record is about to change."""
    _memory(workspace, study_name).unlink(missing_ok=True)


def _write(study_name: str, workspace: Workspace, reports: Path, form: Format) -> Published:
    from sweeper.ledger import read_grid, read_study
    from sweeper.render import write_guide

    record = read_study(workspace.tracking_uri, study_name)
    prepare(study_name, reports)
    folder = reports / study_name
    guide = write_guide(record, folder, lambda key: read_grid(workspace.tracking_uri, study_name, key), form)
    reasons = Counter(trial.note for trial in record.trials if trial.state == "failed")
    return Published(
        guide, record.study, failures=tuple(f"{count} failed: {reason}" for reason, count in reasons.most_common())
    )


def prepare(study_name: str, reports: Path) -> None:
    """Create the guide's folder; raise SetupError where that is not possible."""
    try:
        (reports / study_name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{reports / study_name} cannot be written: {error.strerror}", "give --reports") from error


def _markdown(study_name: str, reports: Path) -> Path:
    return reports / study_name / "guide.md"


def _memory(workspace: Workspace, study_name: str) -> Path:
    return workspace.folder(study_name) / "published.json"


def _identity(guide: Path, study: Study) -> dict[str, str]:
    return {
        "path": str(guide.resolve()),
        "sha256": hashlib.sha256(guide.read_bytes()).hexdigest(),
        "study": hashlib.sha256(study.model_dump_json(by_alias=True).encode()).hexdigest(),
    }
