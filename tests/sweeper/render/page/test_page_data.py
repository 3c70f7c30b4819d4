"""The data of a guide's page: every setting, its figures as the guide has them, its curve and its health."""

from __future__ import annotations

import json

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
from sweeper.render.figures.cell_samples import cell_samples
from sweeper.render.page.page_data import page_data
from sweeper.render.page.schema import PageData
from sweeper.text import numbers
from tests.places import ROOT
from tests.sweeper.guide.study_records import grid_png, large_search, make_record, make_study, typical


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(typical())


@pytest.fixture(scope="module")
def data(guide: Guide) -> PageData:
    return page_data(guide)


def test_every_arm_is_there_with_its_curve_and_its_health(guide: Guide, data: PageData) -> None:
    assert [one.key for one in data.cells] == [one.key for one in (*guide.main.controls, *guide.main.cells)]
    traces = {one.key: one for one in guide.traces}
    for cell in data.cells:
        assert cell.curve == tuple((at.step, at.mean, at.low, at.high) for at in traces[cell.key].curve)
        assert [at[0] for at in cell.blocks] == list(range(guide.depth))
    assert data.baseline
    assert data.baseline.curve
    assert data.first == next(one.key for one in guide.highlights if one.ink == "lowest")
    assert data.left_out == 0


def test_a_settings_facts_are_the_guides(guide: Guide, data: PageData) -> None:
    key = guide.claims[0].key
    facts = dict(next(one.facts for one in data.cells if one.key == key))
    surface = next(one for one in guide.heuristics.cells if one.key == key)
    assert facts["Probability of lying within 5 % of the best"] == numbers.share(surface.near_best)
    assert facts["On fresh seeds"].startswith(f"{guide.claims[0].standing}: ")
    assert facts["On fresh seeds"].endswith(f"n = {guide.claims[0].change.n if guide.claims[0].change else 0}")
    assert "Steps at the floor of the loss" in facts


def test_figures_of_fresh_seeds_alone_are_not_called_screening(data: PageData) -> None:
    record = typical()
    fresh = [one for one in record.trials if one.spec.stage == "confirm"]
    alone = page_data(assemble_guide(make_record(record.study, fresh)))
    names = {name for cell in alone.cells for name, _ in cell.facts}
    assert (data.seeds, alone.seeds) == ("screening", "fresh")
    assert "Against lambda 0, paired by fresh seed [95 %]" in names
    assert not any("screening" in name for name in names)


def test_axes_are_the_knobs_that_vary_and_what_they_led_to(guide: Guide, data: PageData) -> None:
    names = [axis.name for axis in data.axes]
    assert names[:3] == ["block", "lambda", "tau"]
    assert data.axes[2].levels == ("0.25", "0.5", "1")
    assert "FID-10K / lambda 0's" in names
    for cell in data.cells:
        assert len(cell.at) == len(data.axes)
        if cell.is_control:
            assert cell.at[:3] == (None, None, None)
    setting = next(one for one in guide.main.cells if one.cell.dispersion.tau == 0.5)
    assert next(one.at[2] for one in data.cells if one.key == setting.key) == 1


def test_many_numbers_of_a_knob_are_an_axis_of_numbers() -> None:
    axes = {axis.name: axis for axis in page_data(assemble_guide(large_search(120))).axes}
    assert axes["lambda"].levels is None
    assert axes["lambda"].log
    assert axes["block"].levels


def test_of_thousands_of_settings_the_lowest_means_are_drawn_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweeper.render.page.page_data.MOST_CELLS", 10)
    guide = assemble_guide(large_search(120))
    data = page_data(guide)
    shown = {one.key for one in data.cells}
    assert len(shown) == 10
    assert data.left_out == len(guide.main.cells) - 10
    worst = max(one.mean or 0.0 for one in guide.main.cells if one.key in shown)
    assert all(one.mean is None or one.mean >= worst for one in guide.main.cells if one.key not in shown)


def test_a_study_without_a_trial_has_a_page_without_figures() -> None:
    data = page_data(assemble_guide(make_record(make_study(), [])))
    assert (data.cells, data.axes, data.first, data.guidance) == ((), (), "", None)


def test_guidance_has_a_row_an_arm_at_every_scale() -> None:
    record = StudyRecord.model_validate_json((ROOT / "reports/cfg/record.json").read_text(encoding="utf-8"))
    guide = assemble_guide(record)
    guidance = page_data(guide).guidance
    assert guidance
    assert len(guidance.rows) == len(guidance.scales) > 2
    assert [row[0] for row in guidance.rows[0]] == [one.label for one in guide.guidance]
    assert {len(row) for rows in guidance.rows for row in rows} == {len(guidance.header)}


def test_samples_stand_beside_the_baselines(guide: Guide) -> None:
    found = cell_samples(guide, grid_png)
    assert found
    samples = page_data(guide, found).samples
    assert samples
    assert guide.main.baseline
    assert samples.baseline == found.grids[guide.main.baseline.key]
    assert set(samples.grids) == {one.key for one in guide.main.rows}
    without = found.model_copy(update={"grids": {key: found.grids[key] for key in samples.grids}})
    assert page_data(guide, without).samples is None


def test_the_data_are_the_same_each_time_and_small(data: PageData) -> None:
    text = data.model_dump_json()
    assert page_data(assemble_guide(typical())).model_dump_json() == text
    assert json.loads(text)
    assert len(text) < 1_200 * len(data.cells)
