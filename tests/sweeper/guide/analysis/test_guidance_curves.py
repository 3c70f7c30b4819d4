"""The table of guidance on made-up curves whose best scales and gains are known."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import Rung, TrialRecord
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import make_record, make_study, setting, simulate

CELL = setting((1,), 0.25, 0.5)
SCALES = {1: (10.0, 8.0), 1.5: (6.0, 5.4), 2: (7.0, 7.7)}  # FID of baseline and setting


def guide_of(recipe: dict[str, object], early: float | None = None) -> Guide:
    """A study with curves at its end and, with `early`, on the way: the setting's FIDs are so many times as high."""
    study = make_study(recipe={"eval": recipe}, confirm={"top": 1, "seeds": 4})

    def put(one: TrialRecord) -> TrialRecord:
        *before, last = one.rungs
        which = 0 if one.spec.cell.role == "baseline" else 1
        spread = 1 + one.spec.seed % 4 / 50
        if which:  # ratios to the baseline differ by seed, and keep their geometric mean
            spread *= 1.02 if one.spec.seed % 2 else 1 / 1.02
        curve = {f"fid_2500.cfg_{scale:g}": fids[which] * spread for scale, fids in SCALES.items()}
        curve |= {f"{name}_2500.cfg_{scale:g}": 0.5 for scale in SCALES for name in ("precision", "recall")}
        if early:
            times = early if which else 1.0
            way = {name: value * (times if name.startswith("fid") else 1) for name, value in curve.items()}
            before = [Rung(step=rung.step, metrics={**rung.metrics, **way}) for rung in before]
        return one.model_copy(update={"rungs": (*before, Rung(step=last.step, metrics={**last.metrics, **curve}))})

    screened = simulate(study, [CELL], lambda _: 0.0)
    fresh = simulate(study, [CELL], lambda _: 0.0, "confirm", range(100, 104))
    return assemble_guide(make_record(study, [*screened, *map(put, fresh)]))


def test_arms_are_compared_at_each_scale_and_each_at_its_own_best() -> None:
    guide = guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500})
    base, one = guide.guidance
    assert (base.key, base.best, base.change_at_best, base.samples) == ("baseline", 1.5, None, 2500)
    assert one.best == 1.5
    changes = [point.change for point in one.points]
    assert [change and change.mean for change in changes] == pytest.approx([-0.2, -0.1, 0.1])
    assert one.change_at_best is not None
    assert (one.change_at_best.n, one.change_at_best.mean) == (4, pytest.approx(-0.1))
    assert one.change_at_best.low is not None
    assert one.change_at_best.low < -0.1
    assert one.points[0].recall == 0.5


def test_the_guide_shows_the_gain_shrink_with_guidance() -> None:
    page = render_markdown(guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500}), {})
    section = page.partition("### Guidance (CFG)")[2].partition("\n## ")[0]
    assert "mean FID of 2,500 samples" in section
    rows = [line for line in section.splitlines() if line.startswith(("| 1 ", "| its own best"))]
    assert "-20 %" in rows[0]
    assert "at 1.5" in rows[1]
    assert "-10 %" in rows[1]


def test_a_gain_is_shown_by_training_length_where_it_was_measured_on_the_way() -> None:
    base, one = guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500, "cfg_rungs": [0.5, 1]}, early=2.0).guidance
    assert [length.step for length in base.lengths] == [length.step for length in one.lengths] == [400, 800]
    assert [point.change for point in base.lengths[0].points] == [None, None, None]
    by_step = [[point.change and point.change.mean for point in length.points] for length in one.lengths]
    # On the way the setting's figures are twice what they are at the end, the baseline's are not.
    assert by_step[0] == pytest.approx([0.6, 0.8, 1.2])
    assert by_step[1] == pytest.approx([-0.2, -0.1, 0.1])
    assert by_step[1] == [point.change and point.change.mean for point in one.points]
    page = render_markdown(guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500}, early=2.0), {})
    section = page.partition("By training length")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| block 1")]
    assert ["| 400 " in rows[0], "+60 %" in rows[0], "| 800 " in rows[1], "-20 %" in rows[1]] == [True] * 4


def test_a_curve_of_the_end_alone_has_no_table_by_training_length() -> None:
    guide = guide_of({"cfg_curve": [1, 1.5, 2], "cfg_samples": 2500})
    assert all(one.lengths == () for one in guide.guidance)
    assert "By training length" not in render_markdown(guide, {})


def test_a_study_without_a_curve_has_no_word_of_it() -> None:
    guide = guide_of({})
    assert guide.guidance == ()
    assert "Guidance (CFG)" not in render_markdown(guide, {})
