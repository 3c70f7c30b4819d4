"""hostile_words.yaml as a user runs it: checked, planned, run to its guide and exported, and nothing in it is obeyed.

`test_untrusted` holds every form of a guide against more such words, one by one.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sweeper.commands.run import run as run_study
from sweeper.ledger import read_study as read_record
from sweeper.study.yaml_files import read_study
from sweeper.text.untrusted import visible
from sweeper.workspace import Workspace
from tests.sweeper.cli.test_app import Run, run
from tests.sweeper.commands.simulated_runs import Placement, prepared
from tests.sweeper.render.test_html import Page
from tests.sweeper.text.test_untrusted import inner, is_fold, words

__all__ = ["run"]  # a fixture, used by being here

CASE = Path(__file__).with_name("hostile_words.yaml")
LABELS = [cell.label for cell in read_study(CASE).cells if cell.label]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Workspace:
    """The study's workspace, with its guide beside it."""
    place = Workspace(prepared(tmp_path_factory.mktemp("hostile") / "ws", tables))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeper.placement.study_run.run_study", Placement())
        result = run_study(read_study(CASE), place, reports(place), lambda _: None, "sweeper run hostile.yaml")
    assert result.exit_code == 0
    return place


def reports(place: Workspace) -> Path:
    return place.root.parent / "reports"


def guide(place: Workspace, form: str) -> str:
    return (reports(place) / "canary" / f"guide.{form}").read_text(encoding="utf-8")


def test_the_case_holds_what_it_is_named_for() -> None:
    study = read_study(CASE)
    assert len(LABELS) == 3
    assert "<script>" in study.question
    assert "\x1b[31m" in study.tuning
    assert "```" in study.tuning
    assert study.controls[0].name == "-decay"


def test_every_command_runs_and_sends_a_terminal_none_of_its_escapes(run: Run, place: Workspace) -> None:
    here = ("--workspace", place.root)
    commands = (
        ("check", CASE),
        ("plan", CASE, "--on", "8xH100"),
        ("status", CASE, *here),
        ("export", CASE, *here),
        ("report", CASE, *here, "--reports", reports(place), "--format", "latex"),
        ("check", CASE, "--set", "space.lambda=[0]"),  # whose error quotes the study
    )
    ran = [run(*command) for command in commands]
    assert [each.code for each in ran] == [0, 0, 0, 0, 0, 2]
    for each in ran:
        assert "Traceback" not in each.err
        assert visible(each.out + each.err) == each.out + each.err
    rows = list(csv.DictReader(io.StringIO(ran[3].out)))
    assert {row["cell"] for row in rows} >= {"'-decay"}
    assert {row["mark"] for row in rows} >= {f"'{visible(LABELS[0])}", visible(LABELS[1]), f"'{visible(LABELS[2])}"}
    assert not [value for row in rows for value in row.values() if re.match(r"\s*[=+@-]", value) and not _number(value)]
    assert not re.search(r"\\input\b", guide(place, "tex"))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_markdown_shows_its_words_and_makes_nothing_of_them(place: Workspace) -> None:
    text = guide(place, "md")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not [token for token in inner(tokens) if token.type.startswith(("html", "link")) and not is_fold(token)]
    pictures = {token.attrGet("src") for token in inner(tokens) if token.type == "image"}
    assert pictures == {path.name for path in (reports(place) / "canary").glob("*.png")}
    for shown in ("CANARYQUESTION <script>alert('Q')</script>", "T1 <img src=x onerror=alert(1)>", *LABELS):
        assert visible(shown) in words(tokens)
    assert visible(text) == text
    headings = [words([tokens[at + 1]]) for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[-1] == "Glossary"


def test_html_holds_its_words_as_text(place: Workspace) -> None:
    text = guide(place, "html")
    page = Page(text)
    assert len(page.scripts) == 2
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in page.all("img"))
    assert all(attrs["href"].startswith("#") for attrs in page.all("a"))
    assert "CANARYQUESTION <script>alert('Q')</script>" in page.text
    assert visible(text) == text


def test_what_mlflow_shows_is_text_and_its_record_has_the_words_as_they_are(place: Workspace) -> None:
    with closing(sqlite3.connect(place.root / "mlflow.db")) as database:
        notes = [value for (value,) in database.execute("select value from tags where key = 'mlflow.note.content'")]
    assert any("CANARYQUESTION" in note for note in notes)
    active = ("image", "fence", "html_block", "html_inline", "link_open")
    for note in notes:
        assert not [token for token in inner(MarkdownIt("commonmark").parse(note)) if token.type in active]
    record = read_record(place.tracking_uri, "canary")
    assert record.study == read_study(CASE)
    assert {trial.spec.cell.mark for trial in record.trials} >= {*LABELS}
