"""Samples of every setting for the page: of one seed, small, and never anything but a PNG of ours."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.render.figures.cell_samples import SAMPLES, WIDEST, cell_samples, read_samples
from tests.sweeper.guide.study_records import BASELINE, grid_png, make_record, make_study, typical


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(typical())


def photo(key: str) -> bytes:
    pixels = np.random.default_rng(sum(key.encode())).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_cell_has_the_grid_of_the_baselines_first_seed(guide: Guide) -> None:
    found = cell_samples(guide, lambda key: None if key.endswith(".0") else grid_png(key))
    assert found
    assert found.seed == 1
    assert guide.main.baseline
    assert set(found.grids) == {guide.main.baseline.key, *(one.key for one in guide.main.rows)}
    for key, grid in found.grids.items():
        image = Image.open(io.BytesIO(base64.b64decode(grid)))
        assert (image.format, image.size) == ("PNG", (64, 64))
        original = Image.open(io.BytesIO(grid_png(f"screen.{key}.1"))).convert("RGB")
        assert np.abs(np.asarray(image.convert("RGB"), int) - np.asarray(original, int)).mean() < 4


def test_large_grids_are_made_small_and_the_last_are_left_out(guide: Guide) -> None:
    found = cell_samples(guide, photo)
    assert found
    assert len(found.model_dump_json()) < 1_000_000
    assert {one.key for one in guide.highlights} <= set(found.grids)
    assert len(found.grids) < len(guide.main.rows)
    assert all(Image.open(io.BytesIO(base64.b64decode(one))).width <= WIDEST for one in found.grids.values())


def test_a_store_is_asked_a_bounded_number_of_times(guide: Guide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.render.figures.cell_samples.MOST_GRIDS", 5)
    asked: list[str] = []

    def grids(key: str) -> bytes:
        asked.append(key)
        return grid_png(key)

    cell_samples(guide, grids)
    assert len(asked) == len(set(asked)) == 6


@pytest.mark.parametrize("grid", [b"", b"%!PS-Adobe", b"\x89PNG\r\n\x1a\n damaged"])
def test_what_is_no_png_is_not_shown(guide: Guide, grid: bytes) -> None:
    assert cell_samples(guide, lambda _: grid) is None


def test_without_a_baseline_or_a_second_grid_there_is_nothing_to_compare(guide: Guide) -> None:
    assert cell_samples(guide, lambda key: grid_png(key) if BASELINE.key in key else None) is None
    assert cell_samples(assemble_guide(make_record(make_study(), [])), grid_png) is None


@pytest.mark.parametrize("grid", ["</script>", 'x" onerror=', "a b", "javascript:x"])
def test_a_file_that_somebody_changed_is_read_only_if_it_is_one(tmp_path: Path, grid: str) -> None:
    assert read_samples(tmp_path) is None
    for text in ("", "[", "{}", json.dumps({"seed": 0, "grids": {"a": grid}})):
        (tmp_path / SAMPLES).write_text(text)
        assert read_samples(tmp_path) is None


def test_what_was_written_is_read_again(guide: Guide, tmp_path: Path) -> None:
    found = cell_samples(guide, grid_png)
    assert found
    (tmp_path / SAMPLES).write_text(found.model_dump_json())
    assert read_samples(tmp_path) == found
