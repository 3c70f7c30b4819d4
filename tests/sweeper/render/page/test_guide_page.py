"""A guide's page: hostile words in its data are data, and the page is the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.render.guide_folder import write_guide
from sweeper.render.page.guide_page import as_data, guide_page
from tests.places import ROOT
from tests.sweeper.guide.study_records import grid_png, make_record, make_study, setting, simulate, typical
from tests.sweeper.render.test_html import Page

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>&lt;\u2028'\"\\",
    "</ScRiPt ><img src=x onerror=alert(1)>",
)


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_ends_the_element_of_the_data(tmp_path: Path, word: str) -> None:
    study = make_study(cells=[{"label": word, "block": 1, "lambda": 0.01, "tau": 0.5}], question=word)
    record = make_record(study, simulate(study, [setting((1,), 0.01, 0.5, word)], lambda _: 0.0))
    write_guide(record, tmp_path, grid_png)
    page = Page((tmp_path / "guide.html").read_text(encoding="utf-8"))
    data, _ = page.scripts
    assert len(page.all("script")) == 2
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert json.loads(data)["cells"][0]["facts"][-1][0] == "Marked as"
    assert not set("<>&") & set(data)


@pytest.mark.parametrize("word", HOSTILE)
def test_data_stay_the_same_json(word: str) -> None:
    assert json.loads(as_data(json.dumps({word: [word]}))) == {word: [word]}


def test_a_page_is_written_with_every_guide_and_is_the_same_each_time(tmp_path: Path) -> None:
    pages = []
    for name in ("a", "b"):
        assert write_guide(typical(), tmp_path / name, grid_png).name == "guide.md"
        pages.append((tmp_path / name / "guide.html").read_bytes())
    assert pages[0] == pages[1]


def test_what_the_page_shows_is_in_guide_json(tmp_path: Path) -> None:
    write_guide(typical(), tmp_path, grid_png)
    known = json.loads((tmp_path / "guide.json").read_text(encoding="utf-8"))
    data, _ = Page((tmp_path / "guide.html").read_text(encoding="utf-8")).scripts
    traces = {one["key"]: one for one in known["traces"]}
    for cell in json.loads(data)["cells"]:
        assert cell["curve"] == [[at["step"], at["mean"], at["low"], at["high"]] for at in traces[cell["key"]]["curve"]]
    assert assemble_guide(typical()).traces


def test_the_shipped_page_is_that_of_the_shipped_guide() -> None:
    folder = ROOT / "reports/block_temp"
    guide = Guide.model_validate_json((folder / "guide.json").read_bytes())
    page = guide_page(guide, (folder / "guide.md").read_text(encoding="utf-8"), folder)
    shipped = (folder / "guide.html").read_text(encoding="utf-8")
    assert page == shipped, "run `sweeper report reports/block_temp/record.json`"
