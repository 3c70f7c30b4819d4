"""The figure beside a change is the one it belongs to: geometric means over the seeds that the change is over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from sweeper.guide.analysis.geometric_means import geometric_mean
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.cell_figures import SAME_SEEDS
from sweeper.render.tables.claim_tables import claim_table
from sweeper.render.tables.guide_tables import compared_table
from tests.sweeper.guide.analysis.test_confirm_test import BAD, GOOD, SAME
from tests.sweeper.guide.analysis.test_fresh_looks import in_looks
from tests.sweeper.guide.study_records import BASELINE, make_record, make_study, setting, trial, typical

CELL = setting((1,), 0.01, 0.5)


def test_the_spread_is_the_logarithms_in_units_of_the_mean() -> None:
    found = geometric_mean(np.log([1.0, 4.0, np.nan]))
    assert found is not None
    assert (found.n, found.mean, found.sd) == (2, pytest.approx(2.0), pytest.approx(2 * math.log(4) / math.sqrt(2)))
    assert geometric_mean(np.array([np.nan])) is None


def test_equal_printed_means_do_not_stand_beside_a_change() -> None:
    # The same arithmetic mean, 2.5, on both sides; but paired by seed the setting is 25 % worse.
    rows = [trial(BASELINE, 0, 1.0), trial(BASELINE, 1, 4.0), trial(CELL, 0, 2.5), trial(CELL, 1, 2.5)]
    found = compared_table(assemble_guide(make_record(make_study(), rows)))
    assert found.rows[0][1] == "2.00 ± 1.96 (2)"
    assert (found.rows[1][1].removesuffix(" ◦"), found.rows[1][-1][:4]) == ("2.50 ± 0.00 (2)", "+25 ")


@pytest.mark.parametrize("record", [typical, lambda: in_looks({GOOD.key: 3, SAME.key: 8, BAD.key: 3})])
def test_the_ratio_of_a_cells_two_figures_is_its_change(record: Callable[[], StudyRecord]) -> None:
    guide = assemble_guide(record())
    changed = [one for stage in guide.stages for one in stage.rows if one.change]
    assert len(changed) > 3
    for one in changed:
        assert one.mean is not None
        assert one.against is not None
        assert one.n == one.against.n == one.change.n
        assert one.mean / one.against.mean == pytest.approx(1 + one.change.mean)


def test_an_arm_that_ended_early_stands_beside_the_baseline_on_its_own_seeds() -> None:
    guide = assemble_guide(in_looks({GOOD.key: 3, SAME.key: 8, BAD.key: 3}))
    assert guide.confirm is not None
    assert guide.confirm.baseline is not None
    found = claim_table(guide)
    assert found.header[2] == SAME_SEEDS
    base, *rows = found.rows
    assert base[1].endswith("(8)")
    assert [row[2].rpartition(" ")[2] for row in rows] == ["(3)", "(8)", "(3)"]
    assert rows[1][2] == base[1] != rows[0][2]
    # And so it does in the sentence about the lowest one.
    good = next(row for row in rows if row[0] == GOOD.label)
    said = f"{good[1].partition(' (')[0]} (n = 3) against {good[2].partition(' (')[0]} (n = 3)"
    assert any(said in line for line in guide.verdict.sentences)


def test_arms_that_all_ran_on_the_baselines_seeds_need_no_second_figure_of_it() -> None:
    guide = assemble_guide(typical())
    assert SAME_SEEDS not in claim_table(guide).header + compared_table(guide).header


def test_a_guide_of_before_keeps_its_arithmetic_means_and_says_so() -> None:
    stored = json.loads(assemble_guide(typical()).model_dump_json())
    assert stored.pop("means") == "geometric"
    for stage in stored["stages"]:
        for one in (stage["baseline"], *stage["controls"], *stage["cells"]):
            del one["against"]
    before = Guide.model_validate_json(json.dumps(stored))
    assert before.means == "arithmetic"
    assert "geometric mean ±" not in render_markdown(before, {})
    assert "geometric mean ±" in render_markdown(assemble_guide(typical()), {})
