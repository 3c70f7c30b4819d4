"""`sweeper init`: a study to start from."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from sweeper.errors import DataError, StudyError
from sweeper.guide.atlas.first_study import RELATIVE_TAU, TAUS, advice
from sweeper.guide.atlas.schema import ATLAS_FILE, Atlas
from sweeper.study.placeholders import PLACEHOLDER


def write_template(path: Path, template: str, atlas: Path | None = None) -> tuple[int, ...]:
    """Write a template and return the numbers of its lines that are to be filled in.

    Knobs that an atlas (atlas.json or its folder) has a heuristic for take their values from it. Raises StudyError
    instead of overwriting a file, where the path cannot be written, or where there is no such atlas.
    """
    text = files("sweeper").joinpath("templates", f"{template}.yaml").read_text(encoding="utf-8")
    if atlas is not None:
        text = advised(text, read_atlas_file(atlas))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StudyError(f"{path} exists already", "give another name, or remove it first") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}", "give a file in an existing folder") from error
    lines = enumerate(text.splitlines(), 1)
    return tuple(number for number, line in lines if PLACEHOLDER.search(line.partition("#")[0]))


def advised(template: str, atlas: Atlas) -> str:
    """Write an atlas's values into the space of a template, each with its rule."""
    head, space, rest = re.split(r"(?ms)^(space:\n(?:  .*\n)+)", template, maxsplit=1)
    is_relative = re.search(r"(?m)^  tau_units: relative", space) is not None
    found = advice(atlas, is_relative)
    for knob, one in found.items():
        space = _with_line(space, knob, one.values, one.rule)
    if any(one.relative for one in found.values()) and not is_relative:
        if "tau" not in found:
            space = _with_line(space, "tau", TAUS[RELATIVE_TAU], "In mean distances of a batch, as the rule has it.")
        space = re.sub(r"(?m)^  tau_units: .*\n", "", space) + "  tau_units: relative\n"
    said = "\n".join(f"# {one}" for one in (f"From an atlas. {atlas.headline}", *_left(found)))
    return f"{head}{said}\n{space}{rest}"


def _with_line(space: str, knob: str, values: str, why: str) -> str:
    line = f"  {knob}: {values}".ljust(37) + f" # {why}\n"
    return re.sub(rf"(?m)^  {knob}: .*\n", "", space).replace("space:\n", f"space:\n{line}", 1)


def _left(found: Collection[str]) -> list[str]:
    left = [knob for knob in ("block", "lambda", "tau") if knob not in found]
    return [f"It says nothing of {' and '.join(left)}: the template's values stand."] if left else []


def read_atlas_file(path: Path) -> Atlas:
    """Read an atlas.json, or the one of a folder; raise StudyError where there is none, DataError for another file."""
    file = path / ATLAS_FILE if path.is_dir() else path
    try:
        return Atlas.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise StudyError(f"{file} is not there", "make it: sweeper atlas reports/*/record.json") from None
    except ValueError as error:
        says = f"{file} is no atlas that this version reads: {str(error).splitlines()[0]}"
        raise DataError(says, "make it anew: sweeper atlas reports/*/record.json") from error
