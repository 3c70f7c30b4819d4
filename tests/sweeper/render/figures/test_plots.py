from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell, StudyRecord
from sweeper.render.figures.heat_maps import colours_of, norm_of, overview
from sweeper.render.figures.map_cells import Shades, shades_of
from sweeper.render.figures.plots import draw
from tests.sweeper.guide.study_records import (
    BASELINE,
    grid_cells,
    grid_png,
    harmful,
    make_record,
    make_study,
    setting,
    simulate,
    trial,
    typical,
)


def drawn(record: StudyRecord, folder: Path) -> set[str]:
    return set(draw(assemble_guide(record), folder, lambda _: None))


def photo(key: str) -> bytes:
    pixels = np.random.default_rng(len(key)).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("grids", [grid_png, photo])
def test_pictures_stay_under_a_hundred_kilobytes_on_white(tmp_path: Path, grids: object) -> None:
    draw(assemble_guide(typical()), tmp_path, grids)  # type: ignore[arg-type]
    files = list(tmp_path.glob("*.png"))
    assert len(files) == 5
    for file in files:
        assert file.stat().st_size < 100_000
        assert Image.open(file).convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_samples_are_shown_for_one_seed_that_both_cells_have(tmp_path: Path) -> None:
    asked: list[str] = []

    def grids(key: str) -> bytes | None:
        asked.append(key)
        return None if key.endswith(".0") else grid_png(key)

    plots = draw(assemble_guide(typical()), tmp_path, grids)
    assert "seed 1" in plots["samples"].note
    assert not any(key.endswith(".2") for key in asked)


@pytest.mark.parametrize("png", [None, b"", b"not a picture"])
def test_without_readable_grids_there_are_no_samples(tmp_path: Path, png: bytes | None) -> None:
    assert "samples" not in draw(assemble_guide(typical()), tmp_path, lambda _: png)


def test_a_grid_that_is_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = tmp_path / "called"
    (tmp_path / "gs").write_text(f"#!/bin/sh\necho > {called}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert "samples" not in draw(assemble_guide(typical()), tmp_path, lambda _: postscript)
    assert not called.exists()


def test_continuous_knobs_are_drawn_as_points(tmp_path: Path) -> None:
    study = make_study(
        space={"block": [0], "lambda": {"low": 1e-3, "high": 1, "count": 5}, "tau": [0.5, 1.0]},
        screen={"sampler": "tpe", "trials": 9},
    )
    rows = simulate(study, [setting((0,), lam, tau) for lam in (0.0017, 0.3) for tau in (0.5, 1.0)], harmful)
    plots = draw(assemble_guide(make_record(study, rows)), tmp_path, lambda _: None)
    assert plots["overview"].title == "FID-10K by lambda and tau"


def test_a_grid_of_hundreds_of_cells_is_drawn(tmp_path: Path) -> None:
    taus = [round(0.1 * i, 1) for i in range(1, 41)]
    study = make_study(
        space={"block": [0, 1, 2, 3], "lambda": [0.01] * 1 + [0.02 * i for i in range(1, 11)], "tau": taus}
    )
    rows = simulate(study, grid_cells(study)[:1200], harmful, seeds=[0])
    assert "overview" in drawn(make_record(study, rows), tmp_path)


def test_a_lone_baseline_needs_no_overview(tmp_path: Path) -> None:
    assert drawn(make_record(make_study(), [trial(BASELINE, 0, 12.0)]), tmp_path) == {"curves", "health"}


def test_a_single_setting_is_no_map(tmp_path: Path) -> None:
    study = make_study(space={"block": [1], "lambda": [0.01], "tau": [0.5]})
    one = simulate(study, grid_cells(study), lambda _: 0.1)
    assert "overview" not in drawn(make_record(study, one), tmp_path)


def test_figures_that_cannot_be_on_a_log_axis_are_left_out(tmp_path: Path) -> None:
    rows = [trial(BASELINE, 0, 0.0), trial(setting((1,), 0.01, 0.5), 0, -1.0)]
    assert "overview" not in drawn(make_record(make_study(), rows), tmp_path)


def test_a_dollar_in_a_label_is_not_a_formula(tmp_path: Path) -> None:
    odd = setting((1,), 0.01, 0.5).model_copy(update={"label": r"$\frac{ $"})
    rows = simulate(make_study(), [odd], harmful)
    assert "curves" in drawn(make_record(make_study(), rows), tmp_path)


def test_a_heatmap_tells_settings_that_never_started_from_stopped_ones() -> None:
    never, stopped = setting((1,), 0.01, 0.5), setting((2,), 0.01, 0.25)
    rows = [trial(BASELINE, 0, 12.0), trial(setting((0,), 0.01, 0.5), 0, 11.0)]
    rows += [trial(never, 0, None, state="pruned"), trial(stopped, 0, 40.0, state="pruned")]
    painted = overview(assemble_guide(make_record(make_study(), rows)))
    assert painted is not None
    written = {text.get_text() for axes in painted.canvas.axes for text in axes.texts}
    assert {"not\nstarted", "stopped\nat 400"} <= written


def _shades_of(record: StudyRecord) -> Shades:
    guide = assemble_guide(record)
    return shades_of(guide, (key for page in guide.pages for row in page.keys for key in row if key))


def test_the_map_is_grey_within_noise_and_blue_is_better_than_lambda_0() -> None:
    study = make_study()
    cells = grid_cells(study)
    trials = simulate(study, cells, lambda cell: -0.4 if cell.dispersion.lam < 0.1 else 0.4, noise=0.02)
    shades = _shades_of(make_record(study, trials))
    grey, blue, red = (colours_of(shades)(norm_of(shades)(value)) for value in (0.0, -0.3, 0.3))
    assert grey[0] == grey[1] == grey[2]
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert colours_of(shades)(norm_of(shades)(0.8 * shades.noise)) == grey


def test_the_map_explains_the_signs_it_has_and_no_others() -> None:
    study = make_study()
    for lam, wanted in ((0.25, True), (0.01, False)):
        cells = [cell for cell in grid_cells(study) if cell.dispersion.lam == lam]
        painted = overview(assemble_guide(make_record(study, simulate(study, cells, harmful))))
        assert painted is not None
        assert ("◦" in painted.note) is wanted
        assert "†" not in painted.note


def test_a_setting_beside_the_grid_does_not_stretch_the_colours() -> None:
    study = make_study(cells=[{"label": "far", "block": 1, "lambda": 5.0, "tau": 0.5}])
    far = setting((1,), 5.0, 0.5, "far")

    def effect(cell: Cell) -> float:
        return 3.0 if cell.dispersion.lam == 5.0 else 0.1

    alone = _shades_of(make_record(study, simulate(study, grid_cells(study), effect, noise=0.02)))
    beside = _shades_of(make_record(study, simulate(study, [*grid_cells(study), far], effect, noise=0.02)))
    assert beside.end == pytest.approx(alone.end, rel=0.5)
    assert far.key not in beside.change


def test_every_picture_but_the_samples_lies_there_as_vectors_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(assemble_guide(typical()), tmp_path / name, grid_png)
    files = {file.name: file.read_bytes() for file in (tmp_path / "a").glob("*.svg")}
    assert files.keys() == {"overview.svg", "intervals.svg", "curves.svg", "health.svg"}
    assert all((tmp_path / "b" / name).read_bytes() == data for name, data in files.items())


def test_an_interval_that_is_cut_ends_in_an_arrow(tmp_path: Path) -> None:
    study, cells = make_study(), [setting((0,), 0.01, 0.5), setting((1,), 0.01, 0.5)]
    sure = simulate(study, cells[:1], lambda _: 0.1, noise=0.001)
    wild = [trial(cells[1], seed, fid) for seed, fid in enumerate((3.0, 60.0, 12.0))]
    notes = [
        draw(assemble_guide(make_record(study, rows)), tmp_path, None)["intervals"].note
        for rows in (sure, [*sure, *wild])
    ]
    assert ["arrow" in note for note in notes] == [False, True]
