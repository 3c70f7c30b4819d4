"""What is computed for a guide reaches its reader: no field without a table or words, no table without a place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.render.tables.sections import guide_tables, is_grid
from tests.places import ROOT
from tests.sweeper.guide.study_records import typical

RENDER = ROOT / "sweeper/render"
# Fields of a guide that no format shows.
UNSHOWN = {
    "taps": "shown as Guide.places",
    "health_audit": "shown as Guide.gates",
    "stages": "shown as Guide.main and Guide.confirm",
    "recipe_hash": "of guide.json alone: sweeper compare and the atlas read it",
    "distances": "of guide.json alone: sweeper compare reads it",
}


def nodes() -> Iterator[ast.AST]:
    for file in RENDER.rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def templates() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in (RENDER / "templates").rglob("*.j2"))


def test_every_field_of_a_guide_is_computed() -> None:
    missing = Guide.model_fields.keys() - assemble_guide(typical()).model_fields_set
    assert not missing, f"sweeper/guide/assemble.py does not compute {missing}"


def test_every_field_of_a_guide_is_shown() -> None:
    shown = {node.attr for node in nodes() if isinstance(node, ast.Attribute)}
    shown |= {*re.findall(r"\bguide\.(\w+)", templates())}
    unshown = Guide.model_fields.keys() - shown
    assert unshown == UNSHOWN.keys(), f"no table and no template shows {unshown - UNSHOWN.keys()}"


def test_every_table_is_a_section() -> None:
    of_guide = {
        node.name
        for node in nodes()
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == "Table"
        and [ast.unparse(each.annotation) for each in node.args.args if each.annotation] == ["Guide"]
    }
    called = {node.func.id for node in nodes() if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert len(of_guide) > 20
    assert not of_guide - called, f"nothing calls {of_guide - called}: each is a row of guide_tables in sections.py"


def test_every_section_has_a_place_in_markdown() -> None:
    placed = {*re.findall(r"\btables\.(\w+)", templates())}
    sections = guide_tables(assemble_guide(typical()))
    homeless = {name for name, section in sections.items() if not section.fold and not is_grid(name)} - placed
    assert not homeless, f"these have no fold, and no template names them: {homeless}"
