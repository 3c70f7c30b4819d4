"""The site's reference, generated: every command with its options, and every field of a study."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main

from sweeper.cli.app import app
from sweeper.study.yaml_files import study_schema

DEEPEST = 8


def write_reference(folder: Path) -> None:
    """Write both pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "command_line.md").write_text(command_line(), encoding="utf-8")
    (folder / "study.md").write_text(fields_of_a_study(), encoding="utf-8")


def command_line() -> str:
    """Return the help of every command, as a page."""
    parts = ["# Command line", "What `sweeper COMMAND --help` prints; [what commands are for](../../docs/commands.md)."]
    for name in typer.main.get_group(app).commands:
        parts += [f"## sweeper {name}", f"```text\n{_help_of(name)}\n```"]
    return "\n\n".join(parts) + "\n"


def _help_of(command: str) -> str:
    page = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "100"}), redirect_stdout(page), suppress(SystemExit):
        app([command, "--help"], prog_name="sweeper")
    return page.getvalue().rstrip()


def fields_of_a_study() -> str:
    """Return a table of every field that a study file may have, as a page."""
    schema = study_schema()
    rows = ["| field | what it takes | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {takes} | {default} | {meaning} |" for name, takes, default, meaning in _fields(schema)]
    says = "From its JSON schema (`sweeper schema`); [what they mean together](../../docs/studies.md)."
    return f"# Fields of a study\n\n{says}\n\n" + "\n".join(rows) + "\n"


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    yield from _below(schema, schema.get("$defs", {}), "", set(schema.get("required", ())), 0)


def _below(
    node: Mapping[str, Any], known: Mapping[str, Any], prefix: str, required: set[str], depth: int
) -> Iterator[tuple[str, str, str, str]]:
    for name, field in node.get("properties", {}).items():
        place = f"{prefix}{name}"
        default = "**required**" if name in required else _plain(field["default"]) if "default" in field else ""
        inner = [part for part in _parts(field, known) if "properties" in part]
        meaning = " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
        yield place, _takes(field, known), "" if inner and default != "**required**" else default, meaning
        for part in inner if depth < DEEPEST else ():
            yield from _below(part, known, f"{place}.", set(part.get("required", ())), depth + 1)


def _parts(field: Mapping[str, Any], known: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the objects that a field may be."""
    if reference := field.get("$ref"):
        return [known[reference.rpartition("/")[2]]]
    found = [part for one in (*field.get("anyOf", ()), *field.get("oneOf", ())) for part in _parts(one, known)]
    if field.get("type") == "array" and isinstance(field.get("items"), dict):
        return _parts(field["items"], known)
    return found or [field]


def _takes(field: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if reference := field.get("$ref"):
        return _takes(known[reference.rpartition("/")[2]], known)
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if options := (*field.get("anyOf", ()), *field.get("oneOf", ())):
        return " or ".join(dict.fromkeys(_takes(one, known) for one in options))
    if field.get("type") == "array":
        return f"list of {_takes(field['items'], known)}" if isinstance(field.get("items"), dict) else "list"
    return {"object": "section", "null": "none"}.get(str(field.get("type")), str(field.get("type", "anything")))


def _plain(value: object) -> str:
    return f"`{value}`".replace("|", "\\|") if value not in ({}, [], None, "") else ""
