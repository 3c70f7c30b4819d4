"""Two studies side by side: read from the ledger or from guides of other machines, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sweeper.commands.report import RECORD, read_record
from sweeper.errors import DataError, StudyError
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.compare.head_to_head import Rival, paired
from sweeper.guide.compare.schema import Comparison
from sweeper.guide.compare.transfer import transfer
from sweeper.guide.schema.guide import Guide
from sweeper.ledger import read_study as read_recorded
from sweeper.records import StudyRecord
from sweeper.study.yaml_files import read_study
from sweeper.workspace import Workspace

GUIDE = "guide.json"


class Contestant(NamedTuple):
    """A study's guide, and its record where the ledger has it."""

    guide: Guide
    record: StudyRecord | None


def compare(a: Path, b: Path, workspace: Workspace) -> Comparison:
    """Compare two studies, each given by its YAML file, recorded in `workspace`, by a record.json or by a guide.json.

    The folder of a guide stands for its record, if that lies there. Only records hold single trials, so two guides are
    compared by what they claim alone. Raises StudyError where a
    study is not recorded, DataError where a guide cannot be read.
    """
    own, other = _contestant(a, workspace), _contestant(b, workspace)
    comparison = transfer(own.guide, other.guide)
    if comparison.relation != "same recipe" or own.record is None or other.record is None:
        return comparison
    met = paired(Rival(own.record, own.guide), Rival(other.record, other.guide))
    return comparison.model_copy(update={"headline": met.headline, "head_to_head": met})


def _contestant(path: Path, workspace: Workspace) -> Contestant:
    file = next((path / name for name in (RECORD, GUIDE) if (path / name).is_file()), path / GUIDE)
    file = file if path.is_dir() else path
    if file.suffix == ".json" and file.name != RECORD:
        return Contestant(read_guide(file), None)
    if file.name == RECORD:
        record = read_record(file)
    else:
        name = read_study(path).name
        record = read_recorded(workspace.tracking_uri, name, workspace.outbox(name))
    return Contestant(assemble_guide(record), record)


def read_guide(path: Path) -> Guide:
    """Read a guide.json; raise StudyError where it is not there, DataError where this version cannot read it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path} is not there", "give a study file, a guide.json or a report's folder") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text", "give a guide.json as `sweeper report` writes it") from None
    try:
        return Guide.model_validate_json(text)
    except ValueError as error:
        first = str(error).splitlines()[0]
        remedy = "run `sweeper report FILE` with this version to write it again"
        raise DataError(f"{path} is not a guide that this version can read: {first}", remedy) from error
