"""`sweeper init`: a study to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sweeper.errors import StudyError
from sweeper.study.placeholders import PLACEHOLDER


def write_template(path: Path, template: str) -> tuple[int, ...]:
    """Write a template and return the numbers of its lines that are to be filled in.

    Raises StudyError instead of overwriting a file, or where the path cannot be written.
    """
    text = files("sweeper").joinpath("templates", f"{template}.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StudyError(f"{path} exists already", "give another name, or remove it first") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}", "give a file in an existing folder") from error
    lines = enumerate(text.splitlines(), 1)
    return tuple(number for number, line in lines if PLACEHOLDER.search(line.partition("#")[0]))
