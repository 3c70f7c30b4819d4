"""Write a study's guide from its record, undelivered events included, and attach the guide to the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeper.errors import ConflictError, DataError, SetupError, StudyError
from sweeper.workspace import Workspace
from trainer.runtime.files import read_json, write_whole

if TYPE_CHECKING:
    from sweeper.records import StudyRecord
    from sweeper.render import Format
    from sweeper.study import Study

DELIVERY_S = 60.0
RECORD = "record.json"


class Published(NamedTuple):
    """A guide's path in the form asked for, and the study it is of.

    `delivered`: whether MLflow has everything.
    """

    guide: Path
    study: Study
    delivered: bool = True


def publish(
    study_name: str, workspace: Workspace, reports: Path, form: Format = "markdown", current: Study | None = None
) -> Published:
    """Write a study's guide into `reports`/<name>, always also as markdown and HTML, and attach it to its record.

    `current` is the study as its file has it now, whose words go into the record first. A record that another
    process is writing, or whose store is elsewhere, is read as it is; where there is none, the one that lies beside
    an earlier guide is taken. Raises StudyError where nothing is recorded, SetupError where the store does not
    answer and nothing is known here, or the folder cannot be written.
    """
    from sweeper.commands.guide_summary import summary
    from sweeper.ledger import Ledger
    from sweeper.render import guide_files

    outbox = workspace.outbox(study_name)
    if not outbox.exists():
        return write(study_name, workspace, reports, form)
    registration = workspace.registration(study_name)
    try:
        ledger = Ledger(
            workspace.tracking_uri, workspace.artifacts, outbox, study_name, wait_s=0.0, registration=registration
        )
    except ConflictError:
        return write(study_name, workspace, reports, form)._replace(delivered=False)
    with ledger:
        if current:
            ledger.study_told(current)
        written = write(study_name, workspace, reports, form)
        folder = written.guide.parent
        ledger.artifact(folder, [path.name for path in guide_files(folder)])
        ledger.guide_written(*summary(folder))
        delivered = ledger.flush(DELIVERY_S)
        if not delivered:
            ledger.close(timeout=0)  # we have waited already: leaving the context would wait again
    _remember(workspace, _markdown(study_name, reports), written.study)
    return written._replace(delivered=delivered)


def publish_record(file: Path, reports: Path, form: Format = "markdown") -> Published:
    """Write a guide from a record file alone; raise DataError for a file that holds none, StudyError where it is not.

    Sample grids are not in a record: a picture of them that lies beside the guide is kept.
    """
    return _guide(read_record(file), reports, form, None)


def published(study: Study, workspace: Workspace, reports: Path) -> Path | None:
    """Return the guide (markdown) this workspace wrote last, if it still lies there unchanged and is of this study.

    None also while MLflow does not have everything.
    """
    from sweeper.ledger import has_undelivered

    guide = _markdown(study.name, reports)
    try:
        known = read_json(_memory(workspace, study.name))
        is_known = known == _identity(guide, study)
    except (OSError, ValueError):
        return None
    return guide if is_known and not has_undelivered(workspace.outbox(study.name)) else None


def forget(study_name: str, workspace: Workspace) -> None:
    """Make the next run write the guide again, for the record is about to change."""
    write_whole(_memory(workspace, study_name), "{}", durable=False)


def prepare(study_name: str, reports: Path) -> None:
    """Create the guide's folder; raise SetupError where that is not possible."""
    try:
        (reports / study_name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{reports / study_name} cannot be written: {error.strerror}", "give --reports") from error


def write(study_name: str, workspace: Workspace, reports: Path, form: Format) -> Published:
    """Write a study's guide from what is recorded so far; nothing is attached to its record."""
    from sweeper.ledger import GRID, TrialFiles, read_study

    uri, outbox = workspace.tracking_uri, workspace.outbox(study_name)
    try:
        record = read_study(uri, study_name, outbox)
    except StudyError:
        beside = reports / study_name / RECORD
        if not beside.is_file():
            raise
        return publish_record(beside, reports, form)

    files = TrialFiles(uri, study_name, outbox)

    def grid(key: str) -> bytes | None:
        try:
            return files.read(key, GRID)
        except (SetupError, StudyError):
            return None  # the store does not answer, which `read_study` has reported

    return _guide(record, reports, form, grid)


def _guide(record: StudyRecord, reports: Path, form: Format, grids: Callable[[str], bytes | None] | None) -> Published:
    from sweeper.render import OwnFiles, write_guide

    prepare(record.study.name, reports)
    folder = reports / record.study.name
    guide = write_guide(record, folder, grids, form)
    OwnFiles(folder).write(RECORD, record.model_dump_json(by_alias=True) + "\n")
    return Published(guide, record.study)


def verdict(guide: Path) -> str:
    """Return the first sentence of a guide that was just written, by its path."""
    from sweeper.guide.schema.guide import Guide

    return Guide.model_validate_json((guide.parent / "guide.json").read_bytes()).verdict.headline


def read_record(file: Path) -> StudyRecord:
    """Read a record.json; raise StudyError where it is not there, DataError where this version cannot read it."""
    from sweeper.records import StudyRecord
    from trainer.recipe.idle_fields import KEPT

    try:
        return StudyRecord.model_validate_json(file.read_bytes(), context=KEPT)
    except FileNotFoundError:
        raise StudyError(f"{file} is not there", "give a study file, or a record.json") from None
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{file} is no record that this version reads: {first}", "bring the file back") from error


def _markdown(study_name: str, reports: Path) -> Path:
    return reports / study_name / "guide.md"


def _memory(workspace: Workspace, study_name: str) -> Path:
    return workspace.folder(study_name) / "published.json"


def _remember(workspace: Workspace, guide: Path, study: Study) -> None:
    write_whole(_memory(workspace, study.name), json.dumps(_identity(guide, study)), durable=False)


def _identity(guide: Path, study: Study) -> dict[str, str]:
    return {
        "path": str(guide.resolve()),
        "sha256": hashlib.sha256(guide.read_bytes()).hexdigest(),
        "study": hashlib.sha256(study.model_dump_json(by_alias=True).encode()).hexdigest(),
    }
