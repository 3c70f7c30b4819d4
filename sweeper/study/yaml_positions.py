"""Parse YAML 1.2 into plain values, with the position of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml import error as ruamel_error
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from sweeper.study.field_error import Loc

MAX_VALUES = 50_000  # far beyond any study; nested aliases, which multiply, exceed it at once
TAG = "tag:yaml.org,2002:"
KNOWN = {TAG + name for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


class Position(NamedTuple):
    """A place in a file: line and column from 0, as ruamel counts them."""

    line: int
    column: int


class YamlError(Exception):
    """What is not YAML, or not what a study may use of it, and where."""

    def __init__(self, says: str, position: Position) -> None:
        super().__init__(says)
        self.says = says
        self.position = position


@dataclass
class Document:
    """A file's plain values (lists as tuples), and the position of every value and every key by its path."""

    value: object
    values: dict[Loc, Position]
    keys: dict[Loc, Position]


def parse(text: str) -> Document:
    """Read one YAML 1.2 document of mappings, lists and plain values; raise YamlError for anything else.

    Aliases and merge keys are resolved into copies. Duplicate keys, tags, loops and floods of aliases are refused.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        reading = _Reading(yaml)
        value = None if root is None else reading.read(root, ())
    except RecursionError:
        raise YamlError("nested too deeply", Position(0, 0)) from None
    except ruamel_error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        says = " ".join(filter(None, (error.problem, error.context))).replace("\t", "\\t")
        raise YamlError(f"not YAML: {says}", Position(mark.line, mark.column) if mark else Position(0, 0)) from None
    except ReaderError as error:
        before = text[: error.position]
        position = Position(before.count("\n"), len(before) - before.rfind("\n") - 1)
        raise YamlError(f"not YAML: character {error.character!r} is not allowed", position) from None
    except ruamel_error.YAMLError as error:
        raise YamlError(f"not YAML: {error}", Position(0, 0)) from None
    return Document(value, reading.values, reading.keys)


@dataclass
class _Reading:
    """One walk over the nodes of a document."""

    yaml: YAML
    values: dict[Loc, Position] = field(default_factory=dict)
    keys: dict[Loc, Position] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    count: Iterator[int] = field(default_factory=count)

    def read(self, node: Node, loc: Loc) -> object:
        if next(self.count) >= MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES} values, aliases counted as often as used", _position(node))
        if id(node) in self.open:
            raise YamlError("an alias contains itself", _position(node))
        if node.tag not in KNOWN:
            raise YamlError(f"tag {node.tag} is not allowed", _position(node))
        self.values[loc] = _position(node)
        self.open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, loc)
            if isinstance(node, SequenceNode):
                return tuple(self.read(item, (*loc, place)) for place, item in enumerate(node.value))
            assert isinstance(node, ScalarNode)
            return self._scalar(node)
        finally:
            self.open.remove(id(node))

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == TAG + "merge":
                merged.extend(value_node.value if isinstance(value_node, SequenceNode) else [value_node])
                continue
            key = self._key(key_node)
            place = (*loc, key)
            if key in own:
                first = self.keys[place].line + 1
                raise YamlError(f"duplicate key {key!r}, first on line {first}", _position(key_node))
            self.keys[place] = _position(key_node)
            own[key] = self.read(value_node, place)
        for other in merged:
            self._merge(other, own, loc)
        return own

    def _merge(self, other: Node, into: dict[str, object], loc: Loc) -> None:
        """Add the keys of a merged mapping that are not there yet, with their places."""
        if not isinstance(other, MappingNode):
            raise YamlError("'<<' merges mappings only", _position(other))
        aside = _Reading(self.yaml, open=self.open, count=self.count)
        found = aside.read(other, loc)
        assert isinstance(found, dict)
        fresh = {key: value for key, value in found.items() if key not in into}
        into.update(fresh)
        taken = {(*loc, key) for key in fresh}
        for ours, theirs in ((self.values, aside.values), (self.keys, aside.keys)):
            ours.update({place: at for place, at in theirs.items() if place[: len(loc) + 1] in taken})

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or not isinstance(key := self._scalar(node), str):
            raise YamlError("a key must be a word", _position(node))
        return key

    def _scalar(self, node: ScalarNode) -> object:
        if node.tag == TAG + "timestamp":
            return node.value  # a study has no dates; 2026-01-01 is a text
        try:
            return self.yaml.constructor.construct_object(node)
        except (ValueError, LookupError, OverflowError):
            raise YamlError(f"cannot be read as a plain value: {node.value[:40]!r}", _position(node)) from None


def _position(node: Node) -> Position:
    return Position(node.start_mark.line, node.start_mark.column)
