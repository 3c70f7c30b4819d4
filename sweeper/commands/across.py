"""`sweeper across`: one page of studies that are one but for fields of the recipe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sweeper.commands.atlas import record_file
from sweeper.commands.report import read_record
from sweeper.errors import DataError, SetupError
from sweeper.guide.crossing.assemble import assemble_crossing
from sweeper.guide.crossing.schema import Crossing
from sweeper.render.crossing import write_crossing


def make_crossing(paths: Iterable[Path], out: Path) -> tuple[Crossing, Path]:
    """Write the page of studies, each given by its record.json or its guide's folder; return it and its markdown.

    Raises StudyError where there is nothing to compare, DataError for a record that cannot be read, SetupError where
    `out` cannot be written.
    """
    files = [record_file(path) for path in dict.fromkeys(paths)]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file} is not there: a guide alone has no single trials", "give a guide's whole folder")
    crossing = assemble_crossing([read_record(file) for file in files])
    try:
        return crossing, write_crossing(crossing, out)
    except OSError as error:
        raise SetupError(f"{out} cannot be written: {error.strerror}", "give --out a folder you may write") from error
