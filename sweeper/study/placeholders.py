"""Placeholders of a template: text in <angle brackets>, which a study file must have replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sweeper.errors import StudyError
from sweeper.study.field_error import Loc
from sweeper.study.source import Source

PLACEHOLDER = re.compile(r"<[^<>]+>")


def placeholders(source: Source) -> dict[Loc, str]:
    """Return the values that are still to be filled in, by their places."""
    return {loc: text for loc, text in _texts(source.document.value, ()) if PLACEHOLDER.fullmatch(text)}


def refuse_placeholders(source: Source, found: Mapping[Loc, str]) -> None:
    """Raise StudyError at the place of every value that is `found` to be filled in still; for none, nothing happens."""
    if found:
        mistakes = sorted(
            source.mistake_at(loc, f"{'.'.join(map(str, loc))} is to be filled in: {text}")
            for loc, text in found.items()
        )
        raise StudyError("\n".join(says for _, says in mistakes), "Write your own there, or give it with --set.")


def _texts(node: object, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(node, str):
        yield loc, node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from _texts(value, (*loc, name))
    elif isinstance(node, (list, tuple)):
        for place, value in enumerate(node):
            yield from _texts(value, (*loc, place))
