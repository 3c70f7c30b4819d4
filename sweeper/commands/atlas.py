"""`sweeper atlas`: read the records of many studies, and write one page of the rules that hold across them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from sweeper.commands.report import RECORD, read_record
from sweeper.errors import DataError, SetupError, StudyError
from sweeper.guide.atlas.assemble import assemble_atlas
from sweeper.guide.atlas.schema import Atlas, Unused
from sweeper.records import StudyRecord
from sweeper.render.atlas import write_atlas

GUIDE = "guide.json"


def make_atlas(paths: Iterable[Path], out: Path, without: Collection[str] = ()) -> tuple[Atlas, Path]:
    """Write an atlas of studies, each given by its record.json or the folder of its guide; return it and its markdown.

    A guide.json stands for the record beside it, for it holds no single trials. Where there is none, and where a record
    is of another version, the study is listed as left out, as are those that `without` names, each as `name` or
    `name=why`. Raises StudyError for a path that is not there, where a study is given twice, or where `without` names
    none of them, SetupError where `out` cannot be written.
    """
    try:
        atlas = read_atlas(paths, without)
        return atlas, write_atlas(atlas, out)
    except OSError as error:
        raise SetupError(f"{out} cannot be written: {error.strerror}", "give --out a folder you may write") from error


def read_atlas(paths: Iterable[Path], without: Collection[str] = ()) -> Atlas:
    """Read records and work out their atlas; without some studies, each a name or `name=why`."""
    reasons = {name: why for name, _, why in (one.partition("=") for one in without)}
    records: dict[str, StudyRecord] = {}
    unread, seen = [], dict.fromkeys(paths)
    for path in seen:
        file = record_file(path)
        if not file.is_file():
            reason = f"holds no {RECORD}, and a guide alone has no single trials"
            unread.append(Unused(study=_called(path), reason=reason))
            continue
        try:
            record = read_record(file)
        except DataError as error:
            # A shared page should not reveal paths of this machine.
            unread.append(Unused(study=_called(path), reason=str(error).removeprefix(f"{file} ")))
            continue
        name = record.study.name
        if records.setdefault(name, record) != record:
            raise StudyError(f"{path}: another record of a study {name!r} is among these", "give one of them")
    if strangers := sorted(reasons.keys() - records.keys()):
        raise StudyError(f"--without {strangers[0]}: no study of that name is among these", "give a study's own name")
    unread += [
        Unused(study=name, reason=reasons[name] or "left out by --without") for name in records if name in reasons
    ]
    return assemble_atlas(tuple(study_record for name, study_record in records.items() if name not in reasons), unread)


def record_file(path: Path) -> Path:
    """Return where a guide's record lies, given itself, the guide or its folder. Raises StudyError for another path."""
    file = path / RECORD if path.is_dir() else path
    if file.name == GUIDE:
        file = file.with_name(RECORD)
    if not path.exists():
        raise StudyError(f"{path} is not there", "give the folder of a guide, or its record.json")
    return file


def _called(path: Path) -> str:
    return path.name if path.is_dir() else path.parent.name or path.name
