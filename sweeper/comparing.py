"""Two studies side by side: read from the ledger or from guides of other machines, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sweeper.errors import DataError, StudyError
from sweeper.guide.assemble import guidance
from sweeper.guide.comparison import Comparison
from sweeper.guide.guidance import Guidance
from sweeper.guide.rivals import Rival, paired
from sweeper.guide.transfer import transfer
from sweeper.ledger import read_study as read_record
from sweeper.records import StudyRecord
from sweeper.study.file import read_study

GUIDE = "guide.json"


class Contestant(NamedTuple):
    """A study's guide, and its record where the ledger has it."""

    guide: Guidance
    record: StudyRecord | None


def compare(a: Path, b: Path, uri: str) -> Comparison:
    """Compare two studies, each given by its YAML file, recorded at `uri`, or by a guide.json or the folder of one.

    Only records hold single trials, so two guides are compared by what they claim alone. Raises StudyError where a
    study is not recorded, DataError where a guide cannot be read.
    """
    own, other = _contestant(a, uri), _contestant(b, uri)
    found = transfer(own.guide, other.guide)
    if found.relation != "same recipe" or own.record is None or other.record is None:
        return found
    met = paired(Rival(own.record, own.guide), Rival(other.record, other.guide))
    return found.model_copy(update={"headline": met.headline, "head_to_head": met})


def _contestant(path: Path, uri: str) -> Contestant:
    if path.is_dir() or path.suffix == ".json":
        return Contestant(_guide(path / GUIDE if path.is_dir() else path), None)
    record = read_record(uri, read_study(path).name)
    return Contestant(guidance(record), record)


def _guide(path: Path) -> Guidance:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path} is not there", "give a study file, a guide.json or a report's folder") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text", "give a guide.json as `sweeper report` writes it") from None
    try:
        return Guidance.model_validate_json(text)
    except ValueError as error:
        first = str(error).splitlines()[0]
        remedy = "`sweeper report FILE` of this version writes it anew"
        raise DataError(f"{path} is no guide that this version reads: {first}", remedy) from error
