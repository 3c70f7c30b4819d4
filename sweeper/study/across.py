"""Studies that are one but for fields of the recipe: a study crossed with values of the learning rate, say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sweeper.errors import StudyError
from sweeper.study.study import Study
from sweeper.study.yaml_files import read_study

EXAMPLE = "write e.g. --across train.lr=0.004,0.008,0.016"
PLAIN = re.compile(r"[^A-Za-z0-9.]+")
MOST = 64  # studies


class Across(NamedTuple):
    """A field of the recipe, by its dotted name without 'recipe.', and its values as JSON."""

    field: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, option: str) -> Across:
        """Read 'train.lr=0.004,0.008'. Raises StudyError for anything else, one value included."""
        field, equals, text = option.partition("=")
        field = field.strip().removeprefix("recipe.")
        try:
            given = YAML(typ="safe").load(text if text.strip().startswith("[") else f"[{text}]")
        except YAMLError:
            given = None
        values = _as_json(given) if isinstance(given, list) else ()
        if not (field and equals) or len(values) < 2:
            raise StudyError(f"--across {option}: must be a field of the recipe and two values or more", EXAMPLE)
        return cls(field, values)


def _as_json(given: list[object]) -> tuple[str, ...]:
    """Write each value once; none for what JSON lacks, such as YAML's dates."""
    try:
        return tuple(dict.fromkeys(map(json.dumps, given)))
    except TypeError:
        return ()


def studies_across(file: Path, changes: Sequence[str], options: Sequence[str]) -> tuple[str, list[Study]]:
    """Read a study once for each combination of the options' values; return its name and them, named after it.

    Raises StudyError for an option that is none, for mistakes in any of the studies, and for very many of them.
    """
    crossed = [Across.parse(option) for option in options]
    if len({across.field for across in crossed}) < len(crossed):
        raise StudyError("--across: a field is named twice", EXAMPLE)
    name = read_study(file, changes).name
    combined = list(product(*(across.values for across in crossed)))
    if len(combined) > MOST:
        raise StudyError(f"--across makes {len(combined)} studies; {MOST} are the most", "give fewer values")
    fields = [across.field for across in crossed]
    studies = [read_study(file, [*changes, *_changes(name, fields, values)]) for values in combined]
    if len({study.name for study in studies}) < len(studies):
        raise StudyError("--across: two values make the same name", "run them as studies of their own")
    return name, studies


def _changes(name: str, fields: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    parts = [name]
    for field, value in zip(fields, values, strict=True):
        yield f"recipe.{field}={value}"
        parts.append(f"{field.rpartition('.')[2]}-{PLAIN.sub('_', value).strip('_')}")
    yield f"name={'-'.join(parts)}"
