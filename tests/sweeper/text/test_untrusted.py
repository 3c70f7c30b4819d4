"""A study whose words are commands for whatever shows them: every form of its guide shows them, none obeys."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sweeper.commands.export import to_table, write_table
from sweeper.guide.assemble import assemble_guide
from sweeper.ledger.tags import study_tags
from sweeper.records import StudyRecord
from sweeper.render.guide_folder import write_guide
from sweeper.render.latex import render_latex
from sweeper.render.page.script import page_script
from sweeper.study.yaml_files import to_yaml
from sweeper.text.untrusted import inert, prose, visible
from tests.e2e.workplace import SWEEPER
from tests.sweeper.guide.study_records import (
    control,
    grid_cells,
    grid_png,
    make_record,
    make_study,
    setting,
    simulate,
    trial,
)
from tests.sweeper.render.test_html import Page

QUESTION = (
    "Is CANARY <script>alert('Q')</script> ![x](http://evil.example/x.png) [l](javascript:alert(1)) "
    r"[r]: http://evil.example `b` {{7*7}} \input{/etc/passwd} $x$ | pipe www.evil.example"
)
TUNING = "T1 <img src=x onerror=alert(1)> | [ref] &lt; \x1b[31mRED\x1b[0m \\| ``` end"
TUNING += "\n```\n# not a heading\n~~~\n\u202edlrow"
LABELS = (
    '=HYPERLINK("http://evil","x")',
    "<script>alert(2)</script> | a\\|b \x1b]0;pwn\x07 \\input{x} $\\frac",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "``` ![p](http://evil/p.png)",
)


@pytest.fixture(scope="module")
def record() -> StudyRecord:
    """Marked cells of the grid, a control arm and a failed trial, all with such words."""
    study = make_study(
        question=QUESTION,
        tuning=TUNING,
        cells=[{"label": label, "block": block, "lambda": 0.01, "tau": 0.5} for block, label in enumerate(LABELS)],
        controls=[{"name": "-decay", "set": {"train.weight_decay": 0.5}}],
    )
    marks = {((block,), 0.01, 0.5): label for block, label in enumerate(LABELS)}
    cells = [control("-decay"), *grid_cells(study, marks)]
    fresh = [setting((block,), 0.01, 0.5, label) for block, label in enumerate(LABELS)]
    failed = trial(setting((0,), 0.25, 0.25), 7, None, state="failed").model_copy(update={"note": f"={LABELS[1]}"})
    screened = simulate(study, cells, lambda _: 0.0)
    confirmed = simulate(study, [control("-decay"), *fresh], lambda _: 0.0, "confirm", range(100, 105), random=1)
    kept = [trial.model_copy(update={"weights": LABELS[1]}) for trial in confirmed]
    return make_record(study, [*screened, failed, *kept])


@pytest.fixture(scope="module")
def folder(record: StudyRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("guide")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph|.*math")  # a sign without a glyph, a formula that is none
        write_guide(record, place, grid_png, "html")
    return place


def inner(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from inner(token.children or [])


def words(tokens: list[Token]) -> str:
    return "".join(token.content for token in inner(tokens) if token.type in ("text", "code_inline"))


def is_fold(token: Token) -> bool:
    """Whether this is where a section of ours folds away: words of the template alone."""
    begins = re.fullmatch(r"<details><summary><b>[^<>&]+</b> · [^<>&]+</summary>\s*", token.content)
    return token.type == "html_block" and (begins is not None or token.content.strip() == "</details>")


def test_markdown_shows_them_and_makes_nothing_of_them(folder: Path) -> None:
    text = (folder / "guide.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not [token for token in inner(tokens) if token.type.startswith(("html", "link")) and not is_fold(token)]
    pictures = {token.attrGet("src") for token in inner(tokens) if token.type == "image"}
    assert pictures == {path.name for path in folder.glob("*.png")}
    assert QUESTION.replace("`", "") in words(tokens)  # `b` is shown as code
    for label in LABELS:
        assert visible(label) in words(tokens)
    # Outside of code nothing is left that a code host would link or set as a formula.
    outside = re.sub(r"(`{4,}).*?\1", "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|www\.|(?<!\\)\$", outside)


def test_a_fence_in_the_study_does_not_end_ours(folder: Path, record: StudyRecord) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse((folder / "guide.md").read_text(encoding="utf-8"))
    (block,) = [token for token in tokens if token.type == "fence" and token.info == "yaml"]
    next_study = assemble_guide(record).next_study
    assert next_study
    assert block.content.rstrip().endswith(visible(to_yaml(next_study.study)).rstrip())
    after = words(tokens[tokens.index(block) :])
    assert "Every number above is in guide.json" in after
    headings = [words([tokens[at + 1]]) for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[-1] == "Glossary"
    assert not any("not a heading" in heading for heading in headings)


def test_mlflow_is_told_no_picture_to_load(record: StudyRecord) -> None:
    note = MarkdownIt("commonmark").parse(study_tags(record.study)["mlflow.note.content"])
    active = ("image", "fence", "html_block", "html_inline", "link_open")
    assert not [token for token in inner(note) if token.type in active]
    assert "![x](http://evil.example/x.png)" in words(note)


def test_html_holds_them_as_text(folder: Path) -> None:
    page = Page((folder / "guide.html").read_text(encoding="utf-8"))
    assert not {tag for tag, _ in page.elements} & {"iframe", "object"}
    data, script = page.scripts
    assert script == page_script()
    assert {visible(label) for label in LABELS} <= {
        value for cell in json.loads(data)["cells"] for value in cell["facts"][-1]
    }
    assert all(attrs["href"].startswith("#") for attrs in page.all("a"))
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in page.all("img"))
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert QUESTION.replace("`", "") in page.text


@pytest.mark.parametrize("name", ["guide.md", "guide.html"])
def test_no_control_character_is_left_in_a_guide(name: str, folder: Path) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert visible(text) == text
    assert "RED" in text


def test_latex_holds_no_command_of_theirs(record: StudyRecord) -> None:
    text = render_latex(assemble_guide(record))
    assert not re.search(r"\\(input|frac)\b", text)
    assert visible(text) == text


def test_csv_holds_no_formula_and_the_same_numbers(record: StudyRecord) -> None:
    written = io.StringIO()
    write_table(record, "csv", None, written)
    table = to_table(record)
    rows = list(csv.DictReader(io.StringIO(written.getvalue())))
    assert len(rows) == len(table)
    for row, own in zip(rows, table.to_dict("records"), strict=True):
        for name, value in own.items():
            if isinstance(value, str):
                assert not row[name].lstrip().startswith(("=", "+", "-", "@"))
                assert row[name].removeprefix("'") == visible(value)
            elif not pd.isna(value):
                assert float(row[name]) == value
    assert {row["cell"] for row in rows} >= {"'-decay"}


def test_parquet_holds_what_was_recorded(record: StudyRecord, tmp_path: Path) -> None:
    write_table(record, "parquet", tmp_path / "x.parquet", io.StringIO())
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), to_table(record), check_dtype=False)


def test_a_terminal_is_sent_no_command_by_an_error_that_quotes_a_study(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    escape = r'"\e]0;pwn\a\u009b31m\u202e"'
    file.write_text(f"name: {escape}\nquestion: 1\nspace: {{block: {escape}, {escape}: 1}}\n")
    done = subprocess.run([*SWEEPER, "check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert r"\x1b]0;pwn\x07\x9b31m\u202e" in done.stderr
    assert visible(done.stderr) == done.stderr


def test_what_is_printed_keeps_its_lines_and_letters() -> None:
    assert inert("Größe\tλ ± ◦\n2 行") == "Größe\tλ ± ◦\n2 行"


@pytest.mark.parametrize(
    "plain", ["FID 1.9 ± 0.2 [+6.2, +30]: *no evidence*", "`a --b`", "fid_10k", "a & b", "C:\\dir"]
)
def test_plain_words_need_no_escape(plain: str) -> None:
    assert prose(plain) == plain


@pytest.mark.parametrize(
    "line", ["# a", "> a", "- a", "* a", "[a]: http://b", "~~~ a", "``` a", "a ![b][c]", "\\](a", "<b>"]
)
def test_a_line_that_begins_like_markup_is_a_line_of_text(line: str) -> None:
    item = MarkdownIt("commonmark").parse(f"- {prose(line)}")
    kinds = ["bullet_list_open", "list_item_open", "paragraph_open", "inline"]
    assert [token.type for token in item[:4]] == kinds
    assert words(item) == line
