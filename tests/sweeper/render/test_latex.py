"""The guide's tables as LaTeX: what pdfLaTeX is given holds no sign it does not know and no command of a study's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.render.latex import render_latex
from sweeper.render.latex_escaping import SIGNS, escaped
from sweeper.render.tables.sections import guide_tables
from sweeper.render.tables.table import Table, to_latex, to_markdown
from tests.places import ROOT
from tests.sweeper.guide.study_records import make_record, make_study, typical


@pytest.fixture(scope="module")
def fragment() -> str:
    return render_latex(assemble_guide(typical()))


def bodies(text: str) -> list[str]:
    """The rows of every table."""
    return re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)


def test_every_table_of_the_guide_is_there_with_caption_and_label(fragment: str) -> None:
    shown = [name for name, section in guide_tables(assemble_guide(typical())).items() if section.table]
    assert len(shown) > 10
    assert re.findall(r"\\label\{tab:block-temp-([a-z0-9-]+)\}", fragment) == shown
    for part in (r"\begin{table}", r"\end{table}", r"\begin{tabular}", r"\end{tabular}", r"\bottomrule"):
        assert fragment.count(part) == len(shown)
    captions = re.findall(r"^\\caption\{(.*)\}$", fragment, re.MULTILINE)
    assert len(set(captions)) == len(shown)
    assert all(captions)


def test_markdown_and_latex_tabulate_the_same_cells() -> None:
    for section in guide_tables(assemble_guide(typical())).values():
        if section.table:
            (body,) = bodies(to_latex(section.table, "x", "y"))
            assert body.count(r" \\") == len(to_markdown(section.table).splitlines()) - 1


def test_every_row_has_as_many_cells_as_columns(fragment: str) -> None:
    for body in bodies(fragment):
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_the_fragment_starts_with_how_it_was_made(fragment: str) -> None:
    head = fragment.partition(r"\begin")[0]
    assert all(line.startswith("%") for line in head.splitlines() if line)
    assert "block_temp" in head
    assert "0123456789abcdef" in head
    assert "No evidence that any setting helps" in head


def test_braces_are_balanced_and_signs_are_ascii(fragment: str) -> None:
    plain = re.sub(r"\\[{}]", "", fragment)
    assert plain.count("{") == plain.count("}")
    assert fragment.isascii()
    assert re.search(r"\$\\pm\$", fragment)


@pytest.mark.parametrize("sign", [*SIGNS, "--", "\0", "\x1b", "\n"])
def test_no_sign_reaches_tex_as_a_command(sign: str) -> None:
    written = escaped(f"a{sign}b")
    assert written.isascii()
    assert written.isprintable()
    assert not re.search(r"(?<![\\])[#%&_~^]|--", written.replace("$^", ""))


def test_a_study_cannot_issue_commands() -> None:
    hostile = r"\input{/etc/passwd} $x$ %"
    record = make_record(make_study(name="x", question=hostile, tuning=hostile), [])
    assert r"\input{/etc" not in render_latex(assemble_guide(record))
    table = to_latex(Table((hostile,), ((hostile,), ("[2cm] *",))), hostile, "tab:x")
    assert r"\input{" not in table
    assert r"\textbackslash{}input\{/etc/passwd\}" in table
    assert "\n{[}2cm] {*}" in table, "a row's first cell is not taken for an option of the line break before"


def test_long_cells_are_broken_into_lines_and_short_ones_are_not() -> None:
    long = "words that go on and on, far beyond what fits on a line of a page, " * 3
    text = to_latex(Table(("name", "value"), (("short", long),)), "x", "y")
    assert r"\begin{tabular}{l>{\raggedright\arraybackslash}p{0." in text
    assert r"\begin{tabular}{ll}" in to_latex(Table(("name", "value"), (("short", "1.0"),)), "x", "y")


def test_a_table_without_rows_is_not_written() -> None:
    assert not Table(("a",), ())
    assert to_latex(Table(("a",), ()), "x", "y") == to_markdown(Table(("a",), ())) == ""


def test_every_sign_that_our_own_words_hold_is_in_the_table_of_escapes() -> None:
    """A guide's words are written in these folders; what stands in one of their literals may reach a table."""
    folders = (
        "sweeper/guide",
        "sweeper/render",
        "sweeper/statistics",
        "sweeper/study",
        "sweeper/planning",
        "trainer/recipe",
    )
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "sweeper/text/numbers.py", ROOT / "sweeper/records.py"]
    # An atlas is not written as LaTeX.
    written = [file for file in files if not {"atlas", "atlas.py", "atlas_tables.py"} & set(file.parts)]
    missing = {sign: str(file) for file in written for sign in signs_of(file) if sign not in SIGNS}
    assert missing == {}
    assert {"▫", "◦", "▲", "±", "←"} <= {sign for file in written for sign in signs_of(file)}


def signs_of(file: Path) -> set[str]:
    """The signs beyond ASCII in a module's literals, its docstrings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    documented = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    return {sign for text in said if text not in documented for sign in text if not sign.isascii()}
