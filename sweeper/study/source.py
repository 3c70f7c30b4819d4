"""The source of a study: a file, and the options that override parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sweeper.errors import StudyError
from sweeper.study.field_error import Loc
from sweeper.study.yaml_positions import Document, Position, YamlError, parse

MAX_BYTES = 256 * 1024
DIGITS = 10
WIDTH = 100  # columns of a line that an excerpt shows
FORM = "Write it as --set recipe.train.steps=100 or --set 'space.lambda=[0.1]'."


def read_text(path: Path) -> str:
    """Return the text of a study file; raise StudyError if it is not there, not text or far too long."""
    try:
        raw = path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}", "Check its permissions.") from None
    if raw is not None:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line, column = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start)
            says = f"byte 0x{raw[error.start]:02x} is not UTF-8"
            raise StudyError(f"{path}:{line}:{column}: {says}", "Save the file as UTF-8.") from None
    if path.is_dir():
        raise StudyError(f"{path}: is a folder, not a study file", "Name the YAML file itself.")
    if path.exists():
        raise StudyError(f"{path}: must be a file of at most {MAX_BYTES // 1024} kB", "Write long lists as a range.")
    raise StudyError(f"{path}: no such file", "Write a study with `sweeper init`, or correct the path.")


@dataclass
class Source:
    """Where every value of a study comes from."""

    path: Path
    text: str
    document: Document
    options: dict[Loc, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a study file as plain values; raise StudyError if it is not one mapping in YAML."""
        text = read_text(path)
        try:
            source = cls(path, text, parse(text))
        except YamlError as error:
            where = cls(path, text, Document(None, {}, {})).excerpt(error.position, error.says)
            raise StudyError(where, "Correct the YAML there.") from None
        value = source.document.value
        if value is None:
            raise StudyError(f"{path}: the file is empty", "Write a study with `sweeper init`.")
        if not isinstance(value, dict):
            says = "a study must be a mapping of name, question, space, ..."
            raise StudyError(source.excerpt(source.document.values[()], says), "Start from `sweeper init`.")
        return source

    def excerpt(self, position: Position, says: str) -> str:
        """Return 'file:line:column: says', and below it the line with a caret."""
        lines = self.text.splitlines() or [""]
        line = lines[min(position.line, len(lines) - 1)]
        start = max(0, position.column - WIDTH // 2) if len(line) > WIDTH else 0
        shown, before = line[start : start + WIDTH], line[start : position.column]
        blank = "".join("\t" if character == "\t" else " " for character in before)
        return f"{self.path}:{position.line + 1}:{position.column + 1}: {says}\n    {shown}\n    {blank}^"

    def mistake_at(self, loc: Loc, says: str, at_key: bool = False) -> tuple[tuple[int, int], str]:
        """Return a rank in reading order, and `says` placed where `loc`, or what is nearest above it, is written."""
        for length in range(len(loc), -1, -1):
            near = loc[:length]
            if near in self.options:
                return (len(self.text), 0), f"--set {self.options[near]}: {says}"
            places = self.document.keys if at_key and near == loc else self.document.values
            if near in places:
                return places[near], self.excerpt(places[near], says)
        raise AssertionError("a document has a position for its root")

    def override(self, option: str) -> None:
        """Replace one value, as in 'recipe.train.steps=100'; raise StudyError if that cannot be done."""
        dotted, equals, text = option.partition("=")
        option = option if len(option) <= 2 * WIDTH else f"{option[: 2 * WIDTH]}..."
        parts = dotted.strip().split(".")
        if not equals or not all(parts):
            raise StudyError(f"--set {option}: must be a dotted field, '=' and a value", FORM)
        try:
            value = parse(text).value
        except YamlError as error:
            raise StudyError(f"--set {option}: {error.says}", FORM) from None
        loc: list[int | str] = []
        self.document.value = self._replaced(self.document.value, parts, value, loc, option)
        final = tuple(loc)
        for places in (self.document.values, self.document.keys):
            for below in [place for place in places if place[: len(final)] == final]:
                del places[below]
        for length in range(1, len(final) + 1):
            if length == len(final) or final[:length] not in self.document.values:
                self.options[final[:length]] = option

    def _replaced(self, node: object, parts: list[str], value: object, loc: list[int | str], option: str) -> object:
        """Return `node` with the value at `parts` replaced, mappings on the way made where missing; fill `loc`."""
        if not parts:
            return value
        if isinstance(node, tuple):
            # Python refuses to read a number of thousands of digits, and no list has so many items.
            place = int(parts[0]) if parts[0].isdecimal() and len(parts[0]) < DIGITS else len(node)
            if place >= len(node):
                says = f"{'.'.join(map(str, loc))} has items 0 to {len(node) - 1}, not {parts[0][:DIGITS]!r}"
                raise StudyError(f"--set {option}: {says}", "Replace the whole list to add to it.")
            loc.append(place)
            return (*node[:place], self._replaced(node[place], parts[1:], value, loc, option), *node[place + 1 :])
        if node is not None and not isinstance(node, Mapping):
            says = f"{'.'.join(map(str, loc))} is a plain value and has no {'.'.join(parts)!r}"
            raise StudyError(f"--set {option}: {says}", FORM)
        # A control's `set` has dotted keys: what follows is one key.
        key, rest = (".".join(parts), []) if loc[-1:] == ["set"] else (parts[0], parts[1:])
        loc.append(key)
        inner = node.get(key) if node else None
        return {**(node or {}), key: self._replaced(inner, rest, value, loc, option)}
