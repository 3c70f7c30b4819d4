"""Error messages about a study: each mistake at its place, with the given value and what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweeper.errors import StudyError
from sweeper.study.control_arms import control_fields
from sweeper.study.field_error import Loc
from sweeper.study.source import Source
from sweeper.study.study import Study
from trainer.recipe import Recipe

MOST = 20  # mistakes reported at once
SENTENCES = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "string_type": "must be a text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list, in [brackets]",
    "too_short": "must have at least {min_length} items",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "literal_error": "must be {expected}",
}


class Mistake(NamedTuple):
    """One mistake: its rank in reading order, the text that tells it, and what to do."""

    rank: tuple[int, int]
    text: str
    remedy: str


def study_error(error: ValidationError, source: Source) -> StudyError:
    """Return one StudyError that lists every mistake pydantic found, in the order of the file."""
    mistakes = sorted(_mistakes(error, source))
    texts = [mistake.text for mistake in mistakes[:MOST]]
    if len(mistakes) > MOST:
        texts.append(f"... and {len(mistakes) - MOST} more")
    several = f"Correct these {len(mistakes)} mistakes; `sweeper check {source.path}` finds what is left."
    return StudyError("\n".join(texts), mistakes[0].remedy if len(mistakes) == 1 else several)


def _mistakes(error: ValidationError, source: Source) -> Iterator[Mistake]:
    lines: dict[Loc, ErrorDetails] = {}
    for line in error.errors(include_url=False):
        lines.setdefault(_place(line), line)
    for loc, line in lines.items():
        below = any(other[: len(loc)] == loc and other != loc for other in lines)
        # A list whose items are all wrong counts as empty for pydantic; the items have been reported.
        if not (below and line["type"] == "too_short"):
            yield _mistake(loc, line, source)


def _place(line: ErrorDetails) -> Loc:
    # Parts in <...> are tags of unions, not places; the last one of an unknown field is how that is written.
    *parts, last = line["loc"] or ("<>",)
    places = [part for part in parts if not str(part).startswith("<")]
    return (*places, last) if line["type"] == "extra_forbidden" or not str(last).startswith("<") else tuple(places)


def _mistake(loc: Loc, line: ErrorDetails, source: Source) -> Mistake:
    if line["type"] in ("extra_forbidden", "unknown_field"):
        return _unknown(
            loc, source, control_fields() if line["type"] == "unknown_field" else fields_at(line["loc"][:-1])
        )
    if line["type"] == "missing":
        says = f"{_dotted(loc)} is missing"
        return Mistake(*source.mistake_at(loc[:-1], says), f"Add '{loc[-1]}'; `sweeper schema` describes it.")
    sentence = _sentence(line)
    if line["type"] == "value_error" and (first := sentence.split(" ", 1)[0]) in fields_at(line["loc"]):
        # A validator's message that begins with a field's name is about that field.
        return Mistake(
            *source.mistake_at((*loc, first), f"{_dotted(loc)}.{sentence}"), f"Correct {_dotted((*loc, first))}."
        )
    if not sentence.startswith("must"):
        return Mistake(*source.mistake_at(loc, f"{_dotted(loc)}: {sentence}"), f"Correct {_dotted(loc)}.")
    says = f"{_dotted(loc)} {sentence}; got {_shown(line['input'])}"
    remedy = f"Correct {_dotted(loc)}."
    if line["type"] == "literal_error":
        hint = _closest(str(line["input"]), re.findall(r"'([^']*)'", line["ctx"]["expected"]))
        says += f"; did you mean '{hint}'?" if hint else ""
    elif line["type"] == "tuple_type":
        remedy = f"Write [{_shown(line['input'])}]."
    return Mistake(*source.mistake_at(loc, says), remedy)


def _unknown(loc: Loc, source: Source, allowed: Sequence[str]) -> Mistake:
    name, parent = str(loc[-1]), _dotted(loc[:-1])
    hint = _closest(name, allowed)
    says = f"unknown field '{name}' in {parent}" + (f"; did you mean '{hint}'?" if hint else "")
    rank, text = source.mistake_at(loc, says, at_key=True)
    remedy = f"Write '{hint}' instead of '{name}'." if hint else f"Remove '{name}'; `sweeper schema` lists the fields."
    if len(loc) == 1 and name in Recipe.model_fields:
        remedy = f"It is a part of the recipe: 'recipe.{name}' after --set, and below 'recipe' in a file."
    return Mistake(rank, f"{text}\n    allowed: {', '.join(allowed)}", remedy)


def _sentence(line: ErrorDetails) -> str:
    kind, context = line["type"], line.get("ctx", {})
    if kind.startswith("int_"):
        return "must be a whole number"
    if kind.startswith("float_"):
        return "must be a number"
    template = SENTENCES.get(kind)
    return template.format(**context) if template else line["msg"].removeprefix("Value error, ")


def fields_at(loc: Loc) -> tuple[str, ...]:
    """Return the field names, as YAML writes them, that a study allows in the mapping at `loc`; () if any.

    A part in <...> chooses a member of a union by its kind.
    """
    models: list[type[BaseModel]] = [Study]
    for part in loc:
        if isinstance(part, str) and part.startswith("<"):
            models = [model for model in models if part[1:-1] in _kinds(model)] or models
        elif isinstance(part, str):
            found = (_field(model, part) for model in models)
            models = [inner for annotation in found for inner in _models(annotation)]
    return tuple(dict.fromkeys(field.alias or name for model in models for name, field in model.model_fields.items()))


def _kinds(model: type[BaseModel]) -> tuple[object, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _field(model: type[BaseModel], written: str) -> Any:
    fields = model.model_fields.items()
    return next((field.annotation for name, field in fields if (field.alias or name) == written), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _closest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word nearest to `word`; `word` may be just the last part of a dotted name."""
    ends = {name.rpartition(".")[2]: name for name in reversed(known)}
    near = difflib.get_close_matches(word, [*known, *ends], n=1)
    return ends.get(near[0], near[0]) if near else None


def _dotted(loc: Loc) -> str:
    return ".".join(map(str, loc)) or "the study"


def _shown(given: object) -> str:
    text = json.dumps(given, default=_plain, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(given: object) -> object:
    return dict(given) if isinstance(given, Mapping) else str(given)
