"""The map as a table: what the picture shows, in words and tones."""

from __future__ import annotations

from html import unescape

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.render.figures.map_cells import map_words, shades_of
from sweeper.render.page.map_tables import map_tables
from tests.sweeper.guide.study_records import large_search, make_record, make_study, typical
from tests.sweeper.render.test_html import Page


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(typical())


def test_every_cell_of_the_grid_has_its_words_and_its_tone(guide: Guide) -> None:
    page = Page(map_tables(guide))
    shades = shades_of(guide, [one.key for one in guide.main.cells])
    cells = {attrs["data-key"]: attrs for attrs in page.all("td") if "data-key" in attrs}
    on_grid = {key for one in guide.pages for row in one.keys for key in row if key}
    assert set(cells) == on_grid
    for one in guide.main.cells:
        if one.key in cells:
            assert cells[one.key]["class"] == shades.tone(one.key)
            assert all(line in page.text for line in map_words(one, shades).splitlines())


def test_tones_follow_the_change_and_the_noise(guide: Guide) -> None:
    shades = shades_of(guide, [one.key for one in guide.main.cells])
    assert {shades.tone(key) for key in shades.change} >= {"noise", "worse"}
    for key, change in shades.change.items():
        assert (shades.tone(key) == "noise") == (abs(change) <= shades.noise)
        assert 0 <= shades.depth(key) <= 1
    assert shades.tone("no such cell") == "unknown"


def test_rows_and_columns_are_headed_for_a_screen_reader(guide: Guide) -> None:
    page = Page(map_tables(guide))
    heads = page.all("th")
    assert all(attrs["scope"] in ("row", "col") for attrs in heads)
    frames = [attrs for attrs in page.all("div") if attrs.get("class") == "scroll"]
    assert len(frames) == len(page.all("caption")) == len(guide.pages)
    assert len({frame["aria-label"] for frame in frames}) == len(frames)


@pytest.mark.parametrize("record", [make_record(make_study(), []), large_search(60)], ids=["empty", "continuous"])
def test_where_there_is_no_grid_there_is_no_table(record) -> None:
    assert map_tables(assemble_guide(record)) == ""


def test_a_studys_words_are_escaped(guide: Guide) -> None:
    [first, *pages] = guide.pages
    hostile = first.model_copy(update={"title": "<b onclick=x>&"})
    text = map_tables(guide.model_copy(update={"pages": (hostile, *pages)}))
    assert "<b onclick" not in text
    assert "<b onclick=x>&" in unescape(text)
