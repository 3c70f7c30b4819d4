"""The guide as one HTML page: what it shows, that it loads nothing, and that a study's words stay words."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeper import cli
from sweeper.commands.report import published
from sweeper.ledger import Ledger
from sweeper.render.guide_folder import write_guide
from sweeper.render.html import render_html
from sweeper.study.yaml_files import read_study
from sweeper.workspace import Workspace
from tests.conftest import copy_database
from tests.places import SMOKE
from tests.sweeper.guide.study_records import BASELINE, grid_png, make_record, make_study, trial, typical

VOID = {"meta", "img", "br", "hr", "link", "input"}
LOADS = {"src", "srcset", "poster", "data", "action", "background"}


class Page(HTMLParser):
    """A page taken apart: its elements, its text, and whether every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.words)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_guide(typical(), tmp_path_factory.mktemp("guide"), grid_png, "html")


def loaded(page: Page) -> list[str]:
    """Everything a browser would fetch for the page."""
    wanted = [attrs[name] for tag, attrs in page.elements for name in LOADS & set(attrs)]
    return wanted + [attrs["href"] for attrs in page.all("link")]


def test_every_picture_of_the_folder_is_inside_the_page_but_the_map_which_is_a_table(guide: Path) -> None:
    page = Page(guide.read_text(encoding="utf-8"))
    sources = [attrs["src"] for attrs in page.all("img")]
    inside = {base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources}
    assert inside == {one.read_bytes() for one in guide.parent.glob("*.png") if one.name != "overview.png"}
    assert len(sources) == 4
    assert any(attrs.get("class") == "map" for attrs in page.all("table"))


def test_the_page_loads_nothing(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    page = Page(text)
    assert all(source.startswith("data:image/png;base64,") for source in loaded(page))
    assert [attrs.get("type") for attrs in page.all("script")] == ["application/json", None]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert not re.search(r"url\(|@import|https?:", style)
    assert any("default-src 'none'" in attrs.get("content", "") for attrs in page.all("meta"))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](http://evil.example/x.png)",
        "&lt;script>",
        "| a | <b>b</b> |",
    ],
)
def test_a_studys_words_are_shown_as_text(tmp_path: Path, text: str) -> None:
    record = make_record(make_study(question=text, tuning=text), [trial(BASELINE, 0, 12.0)])
    page = Page(write_guide(record, tmp_path, lambda _: None, "html").read_text(encoding="utf-8"))
    assert len(page.all("script")) == 2, "the data and our own"
    assert not page.all("b")
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert all(source.startswith("data:image/png;base64,") for source in loaded(page))
    if text.startswith("<"):
        assert page.text.count(text) == 3, "in the title, the heading and the tuning"


def test_only_pictures_that_lie_beside_the_guide_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "guide").mkdir()
    for source in ("../secret.png", "..%2Fsecret.png", str(tmp_path / "secret.png"), "http://a/b.png", "gone.png"):
        page = Page(render_html(f"![a picture]({source})", tmp_path / "guide", "x"))
        assert not page.all("img"), source
        assert "[a picture]" in page.text


def test_links_stay_links_and_scripts_behind_them_do_not(tmp_path: Path) -> None:
    page = Page(render_html("[a](https://arxiv.org/abs/1) [b](javascript:alert)", tmp_path, "x"))
    assert page.all("a") == [{"href": "https://arxiv.org/abs/1"}]


def test_the_contents_lead_to_every_section(guide: Path) -> None:
    page = Page(guide.read_text(encoding="utf-8"))
    anchors = [attrs["id"] for attrs in page.all("h2")]
    assert [attrs["href"] for attrs in page.all("a")] == [f"#{anchor}" for anchor in anchors]
    assert anchors[0] == "what-to-use"
    assert len(set(anchors)) == len(anchors) > 5


def test_the_evidence_is_folded_and_each_fold_opens_with_its_heading(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    page = Page(text)
    markdown = (guide.parent / "guide.md").read_text(encoding="utf-8")
    assert len(page.all("details")) == markdown.count("<details>") == 8
    assert len(re.findall(r"<details>\s*<summary>\s*<h2 id=", text)) == 8
    assert text.index('id="what-to-use"') < text.index("<details>")
    assert "&lt;details" not in text


def test_a_study_cannot_fold_a_section(tmp_path: Path) -> None:
    fold = "<details><summary><b>x</b> · y</summary>"
    record = typical()
    study = record.study.model_copy(update={"question": fold, "tuning": fold})
    text = write_guide(record.model_copy(update={"study": study}), tmp_path, None, "html").read_text(encoding="utf-8")
    assert len(Page(text).all("details")) == 8
    assert fold in Page(text).text


def test_sections_of_one_name_have_anchors_of_their_own(tmp_path: Path) -> None:
    page = Page(render_html("## 1. Same\n\n## 2. Same\n\n## 3.", tmp_path, "x"))
    assert [attrs["id"] for attrs in page.all("h2")] == ["same", "same-", "section"]


def test_the_page_can_be_read_by_machine_and_on_a_phone(guide: Path) -> None:
    page = Page(guide.read_text(encoding="utf-8"))
    assert page.all("html") == [{"lang": "en"}]
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))
    assert all(attrs["alt"] for attrs in page.all("img"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    frames = [attrs for attrs in page.all("div") if attrs.get("class") == "scroll"]
    assert len(frames) == len(page.all("table")) > 5
    assert len({frame["aria-label"] for frame in frames}) == len(frames)
    assert all(frame["tabindex"] == "0" and frame["aria-label"] for frame in frames)


def test_the_page_says_what_the_markdown_says(guide: Path) -> None:
    page = Page(guide.read_text(encoding="utf-8"))
    markdown = guide.with_name("guide.md").read_text(encoding="utf-8")
    figures = re.findall(r"\d+\.\d+ ± \d+\.\d+", markdown)
    assert re.findall(r"\d+\.\d+ ± \d+\.\d+", page.text) == figures
    assert len(figures) > 20


def test_an_empty_study_has_a_page(tmp_path: Path) -> None:
    path = write_guide(make_record(make_study(), []), tmp_path, lambda _: None, "html")
    assert "Nothing measured yet" in Page(path.read_text(encoding="utf-8")).text


def test_a_form_written_before_is_kept_up_to_date(tmp_path: Path) -> None:
    write_guide(typical(), tmp_path, grid_png, "html")
    write_guide(typical(), tmp_path, grid_png, "latex")
    assert write_guide(make_record(make_study(), []), tmp_path, lambda _: None).name == "guide.md"
    for name in ("guide.md", "guide.html", "guide.tex"):
        assert "Nothing measured yet" in (tmp_path / name).read_text(encoding="utf-8"), name


def test_report_writes_the_form_asked_for_and_run_still_knows_its_guide(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, study, reports = Workspace(tmp_path / "home"), read_study(SMOKE), tmp_path / "reports"
    place.root.mkdir()
    copy_database(tables, place.root / "mlflow.db")
    with Ledger(place.tracking_uri, place.artifacts, place.outbox(study.name), study.name) as ledger:
        ledger.study_opened(study, make_record(study, []).provenance)
        assert ledger.flush(30)
    for form, name in (("markdown", "guide.md"), ("html", "guide.html"), ("latex", "guide.tex")):
        argv = ["sweeper", "report", SMOKE, "--workspace", place.root, "--reports", reports, "--format", form]
        monkeypatch.setattr(sys, "argv", list(map(str, argv)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out == f"{reports / study.name / name}\n"
        assert (reports / study.name / name).stat().st_size > 0
        assert published(study, place, reports) == reports / study.name / "guide.md"
    client = MlflowClient(tracking_uri=place.tracking_uri)
    experiment = client.get_experiment_by_name(study.name)
    assert experiment
    assert "Nothing measured yet" in experiment.tags["mlflow.note.content"]
    (run,) = client.search_runs([experiment.experiment_id])
    files = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "guide")}
    assert {"guide.md", "guide.html", "guide.json"} <= files
