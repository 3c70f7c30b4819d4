from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.guide.assemble import assemble_guide
from sweeper.records import Cell, StudyRecord
from sweeper.render.figures.colours import colours, norm
from sweeper.render.figures.heat_maps import overview
from sweeper.render.figures.map_cells import Shades, shades_of
from sweeper.render.figures.plots import draw
from sweeper.text.numbers import signed
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


def scattered(count: int, stopped: int = 0) -> StudyRecord:
    """A random search over lambda and tau on two blocks, on three seeds; the last ones were stopped."""
    study = make_study(
        space={
            "block": [0, 2],
            "lambda": {"low": 1e-3, "high": 1, "count": 5},
            "tau": {"low": 0.1, "high": 2, "count": 5},
        },
        screen={"sampler": "random", "trials": 3 * (count + 1)},
    )
    draw_of = np.random.default_rng(0)
    at = zip(10 ** draw_of.uniform(-3, 0, count), 10 ** draw_of.uniform(-1, 0.3, count), strict=True)
    cells = [setting((2 * (i % 2),), round(lam, 4), round(tau, 3)) for i, (lam, tau) in enumerate(at)]
    out = {cell.key for cell in cells[count - stopped :]}
    return make_record(study, simulate(study, cells, harmful, noise=0.02, stopped=lambda cell: cell.key in out))


def test_settings_that_form_no_grid_have_a_map_of_the_surface() -> None:
    guide = assemble_guide(scattered(16, stopped=2))
    assert not guide.pages
    assert len(guide.heuristics.cells) == 14
    painted = overview(guide)
    assert painted is not None
    panels = [axes for axes in painted.canvas.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["block 0", "block 2"]
    stopped, finished = (
        sum(len(axes.collections[place].get_offsets()) for axes in panels)
        for place in (0, 1)  # type: ignore[arg-type]
    )
    assert (stopped, finished) == (2, 14)
    assert "the screen alone, by a model fitted to all of it" in painted.note
    assert "x: stopped early" in painted.note
    # The changes beside the points are those of the surface.
    written = {text.get_text().removesuffix(" ◦") for axes in panels for text in axes.texts}
    assert written == {f"{signed(one.change.mean)} %" for one in guide.heuristics.cells}


def test_continuous_knobs_are_drawn_as_points(tmp_path: Path) -> None:
    study = make_study(
        space={"block": [0], "lambda": {"low": 1e-3, "high": 1, "count": 5}, "tau": [0.5, 1.0]},
        screen={"sampler": "tpe", "trials": 9},
    )
    rows = simulate(study, [setting((0,), lam, tau) for lam in (0.0017, 0.3) for tau in (0.5, 1.0)], harmful)
    plots = draw(assemble_guide(make_record(study, rows)), tmp_path, lambda _: None)
    assert plots["overview"].title == "FID-10K against lambda 0, by lambda, tau and block"


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


def test_a_unit_that_all_levels_share_stands_once_beside_the_axis() -> None:
    study = make_study(
        space={"block": [0, 1], "lambda": [0.1], "tau": [0.2, 0.5, 1], "tau_units": "relative"}, confirm=None
    )
    plain = grid_cells(study)
    units = {cell.key: cell.dispersion.model_copy(update={"tau_units": "relative"}) for cell in plain}
    taus = [cell.model_copy(update={"dispersion": units[cell.key]}) for cell in plain]
    picture = overview(assemble_guide(make_record(study, simulate(study, taus, harmful))))
    assert picture
    axes = picture.canvas.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.2", "0.5", "1"]
    assert axes.get_xlabel() == "tau (x mean distance)"
    assert axes.get_ylabel() == "block"


def _shades_of(record: StudyRecord) -> Shades:
    guide = assemble_guide(record)
    return shades_of(guide, (key for page in guide.pages for row in page.keys for key in row if key))


def test_the_map_is_grey_within_noise_and_blue_is_better_than_lambda_0() -> None:
    study = make_study()
    cells = grid_cells(study)
    trials = simulate(study, cells, lambda cell: -0.4 if cell.dispersion.lam < 0.1 else 0.4, noise=0.02)
    shades = _shades_of(make_record(study, trials))
    grey, blue, red = (colours(shades)(norm(shades)(value)) for value in (0.0, -0.3, 0.3))
    assert grey[0] == grey[1] == grey[2]
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert colours(shades)(norm(shades)(0.8 * shades.noise)) == grey


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
