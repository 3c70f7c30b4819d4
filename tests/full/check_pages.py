"""The page in a browser: every way it is shown, everything it answers to, and what it never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sweeper.commands.report import publish_record
from sweeper.guide.atlas.schema import Atlas
from sweeper.records import StudyRecord
from sweeper.render.atlas import write_atlas
from sweeper.render.guide_folder import write_guide
from tests.full.pages import PHONE, WIDE, chromium, opened
from tests.places import ROOT
from tests.sweeper.guide.study_records import grid_png, large_search, make_record, make_study, typical
from tests.sweeper.text.test_untrusted import record as hostile  # noqa: F401  a fixture

SHIPPED = ("block_temp", "control", "cfg", "tune_baseline")
MADE: dict[str, Callable[[], StudyRecord]] = {
    "several_maps": typical,
    "no_grid": lambda: large_search(90),
    "nothing": lambda: make_record(make_study(), []),
}
PageOf = Callable[[str], Path]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> PageOf:
    """Write a page when a test first asks for it: of a shipped record, or of a made one."""
    reports = tmp_path_factory.mktemp("reports")

    @cache
    def written(name: str) -> Path:
        if name == "atlas":
            shipped = Atlas.model_validate_json((ROOT / "reports/atlas/atlas.json").read_bytes())
            return write_atlas(shipped, reports / name).with_suffix(".html")
        if name in MADE:
            write_guide(MADE[name](), reports / name, grid_png)
        else:
            publish_record(ROOT / "reports" / name / "record.json", reports)
        return reports / name / "guide.html"

    return written


PAGES = (*SHIPPED, *MADE, "atlas")
SIZES = {"wide": WIDE, "phone": PHONE}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_fits_asks_for_nothing_reports_nothing_and_axe_finds_nothing(
    browser: Browser, page_of: PageOf, name: str, size: str, dark: bool
) -> None:
    seen = opened(browser, page_of(name), SIZES[size], dark)
    seen.unfold()
    assert seen.overflow() <= 0
    assert seen.complaints() == []
    assert (seen.asked, seen.said) == ([], [])
    seen.page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_everything_is_readable_and_nothing_pretends_to_answer(
    browser: Browser, page_of: PageOf, name: str
) -> None:
    seen = opened(browser, page_of(name), scripts=False)
    assert seen.page.locator("button, input, select").count() == 0
    assert seen.page.locator("h2").count() >= 4
    assert (seen.asked, seen.said) == ([], [])
    seen.page.context.close()


def test_a_click_on_the_map_shows_the_setting_beside_the_baseline(browser: Browser, page_of: PageOf) -> None:
    page = opened(browser, page_of("block_temp")).page
    cell = page.locator(".map button").first
    label = page.evaluate("JSON.parse(document.getElementById('data').textContent)")["cells"]
    key = page.locator(".map td[data-key]").first.get_attribute("data-key")
    wanted = next(one for one in label if one["key"] == key)
    cell.hover()
    assert wanted["label"] in page.locator("#note").inner_text()
    assert wanted["facts"][1][1] in page.locator("#note").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#note").is_hidden()
    cell.focus()
    assert page.locator("#note").is_visible()
    page.keyboard.press("Enter")
    assert page.locator("#note").is_hidden(), "what it said stands in the panel"
    assert cell.get_attribute("aria-pressed") == "true"
    panel = page.get_by_role("region", name="One setting beside the baseline")
    assert all(value in panel.inner_text() for _, value in wanted["facts"])
    assert panel.locator("svg").count() == 3
    assert wanted["label"] in (panel.locator("svg").first.get_attribute("aria-label") or "")
    assert panel.get_by_label("Setting").input_value() == key
    ticks = page.locator("svg text").all_text_contents()
    assert "0" in ticks
    assert not {"-0", "NaN", "undefined", "null"} & set(ticks)
    assert page.locator(".setting.chosen").count() == 1
    page.context.close()


def test_a_settings_samples_are_shown_beside_the_baselines(browser: Browser, page_of: PageOf) -> None:
    page = opened(browser, page_of("several_maps")).page
    images = page.locator(".samples img")
    assert images.count() == 2
    loaded = "(one) => one.decode().then(() => one.naturalWidth)"
    assert [image.evaluate(loaded) for image in images.all()] == [64, 64]
    first = images.nth(1).get_attribute("src")
    page.locator(".map button").last.click()
    assert images.nth(1).get_attribute("src") != first
    page.context.close()


def test_lists_and_strokes_keep_part_of_the_settings(browser: Browser, page_of: PageOf) -> None:
    page = opened(browser, page_of("block_temp")).page
    region = page.get_by_role("region", name="All settings at once", exact=True)
    every = region.locator(".setting").count()
    region.get_by_label("block").select_option(label="0")
    kept = region.locator(".setting:not(.out)").count()
    assert 0 < kept < every
    assert f"{kept} of {every} settings" in region.inner_text()
    assert page.locator(".map button.out").count() > 0
    region.get_by_role("button", name="show all").click()
    assert region.locator(".setting.out").count() == 0
    axis = region.locator(".brush .target").first
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + box["height"] - 2)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] * 0.8)
    page.mouse.up()
    assert 0 < region.locator(".setting:not(.out)").count() < every
    region.get_by_role("button", name="show all").click()
    assert region.locator(".setting.out").count() == 0
    page.context.close()


def test_tables_sort_by_figures_and_filter_by_words(browser: Browser, page_of: PageOf) -> None:
    seen = opened(browser, page_of("block_temp"))
    seen.unfold()
    frame = seen.page.locator(".scroll", has=seen.page.get_by_role("columnheader", name="shared seeds"))
    heads = frame.locator("thead th").all_inner_texts()
    place = next(at for at, text in enumerate(heads, 1) if text.startswith("change to the baseline"))
    column = f"tbody tr > *:nth-child({place})"
    before = frame.locator(column).all_inner_texts()
    head = frame.get_by_role("button", name="change to the baseline")
    orders = []
    for _ in range(3):
        head.click()
        orders.append(frame.locator(column).all_inner_texts())
    rising, falling = ([float(text.split(" ")[0]) for text in order if "%" in text] for order in orders[:2])
    assert rising == sorted(rising)
    assert falling == sorted(rising, reverse=True)
    assert len(rising) > 10
    assert orders[2] == before
    seen.page.get_by_label("Filter rows").last.fill("no such word")
    assert "0 of" in seen.page.locator("output.count").last.inner_text()
    seen.page.context.close()


def test_sliders_go_through_maps_and_scales_of_guidance(browser: Browser, page_of: PageOf) -> None:
    page = opened(browser, page_of("several_maps")).page
    slider = page.get_by_label("Part of the map")
    assert page.locator(".map:visible").count() == 2
    slider.fill("2")
    assert page.locator(".map:visible").count() == 1
    assert slider.get_attribute("aria-valuetext") == page.locator(".map:visible caption").inner_text()
    page.context.close()
    seen = opened(browser, page_of("cfg"))
    seen.unfold()
    region = seen.page.get_by_role("region", name="Guidance at one scale", exact=True)
    first = region.locator("tbody").inner_text()
    seen.page.get_by_label("Guidance scale:").fill("2")
    assert region.locator("tbody").inner_text() != first
    seen.page.context.close()


def test_on_paper_what_is_folded_is_there_and_what_answers_is_not(browser: Browser, page_of: PageOf) -> None:
    page = opened(browser, page_of("block_temp"), (794, 1100)).page
    page.emulate_media(media="print")
    assert page.locator(".live:visible").count() == 0
    assert page.get_by_text("Recommended set").first.is_visible()
    assert page.locator(".map:visible").count() == 1
    assert len(page.pdf()) > 50_000
    page.context.close()


def test_words_of_a_study_run_nothing(browser: Browser, tmp_path: Path, hostile) -> None:  # noqa: F811
    write_guide(hostile, tmp_path, grid_png)
    seen = opened(browser, tmp_path / "guide.html")
    dialogs: list[str] = []
    seen.page.on("dialog", lambda one: dialogs.append(one.message))
    seen.unfold()
    for button in seen.page.locator(".map button").all():
        button.click()
    assert (dialogs, seen.asked, seen.said) == ([], [], [])
    assert seen.complaints() == []
    seen.page.context.close()
