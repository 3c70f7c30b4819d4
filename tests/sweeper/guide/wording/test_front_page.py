"""What shipped guides say before a reader unfolds anything: how far off one may be, and what nobody looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.commands.report import read_record
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.heuristics import Heuristic, LevelCost
from sweeper.guide.wording.heuristics import span
from tests.places import ROOT


def shipped(name: str) -> Guide:
    return assemble_guide(read_record(ROOT / "reports" / name / "record.json"))


def row(guide: Guide, knob: str) -> Heuristic:
    found = guide.heuristics.row(knob)
    assert found is not None
    return found


def test_a_study_whose_finalists_all_looked_worse_does_not_say_that_it_looked_for_a_gain() -> None:
    guide = shipped("small_data")
    assert {claim.direction for claim in guide.claims} == {"higher"}
    assert guide.verdict.headline.startswith("No setting tested looked better than lambda 0 in the screen; ")
    assert row(guide, "lambda").grade.startswith("harm tested on 5 fresh seeds, a gain was not")


def test_a_null_result_says_how_much_the_best_setting_can_gain_at_most() -> None:
    best = min(shipped("block_temp").claims, key=lambda claim: claim.change.mean if claim.change else 0.0)
    assert "+0.5 % [-7.3, +9.0], n = 5, so it gains at most 7 %" in shipped("small_data").verdict.points[0]
    assert best.change is not None
    assert best.change.low is not None
    says = f"{best.label}, -0.3 % [-10, +10], n = 8, so it gains at most {-100 * best.change.low:.0f} %."
    assert says in shipped("block_temp").verdict.points[0]


def test_a_level_whose_interval_is_wholly_worse_is_not_called_open() -> None:
    assert row(shipped("small_data"), "lambda").safe == "only 0; open: 0.001; likely worse: 0.01"  # by fresh seeds
    constant = shipped("atlas_digits_sit_constant")
    assert "likely worse: 0.5" in row(constant, "lambda").safe  # by the screen
    assert row(constant, "tau").safe == "1 is lowest; likely worse: 0.25; depends on: block, lambda"


@pytest.mark.parametrize(("tried", "words"), [((0, 1, 2), "0 to 2"), ((0, 2, 3), "0, 2 to 3"), ((1, 3), "1, 3")])
def test_a_range_of_blocks_names_none_that_nobody_tried(tried: tuple[int, ...], words: str) -> None:
    levels = tuple(LevelCost(level=str(block), reach="safe") for block in tried)
    assert span(Heuristic(knob="block", ordered=True, against="lowest", levels=levels)) == words


def test_trials_that_never_began_are_not_counted_as_stopped() -> None:
    assert "89 trials: 85 complete, 1 stopped early, 3 not started" in shipped("block_temp").summary


@pytest.mark.parametrize("file", sorted((ROOT / "reports").glob("*/guide.json")), ids=lambda file: file.parent.name)
def test_the_figures_beside_a_claim_are_of_its_own_seeds(file: Path) -> None:
    guide = Guide.model_validate_json(file.read_bytes())
    results = {one.key: one for one in guide.confirm.rows} if guide.confirm else {}
    arms = (*guide.claims, *(claim for claim in guide.side_claims if claim.metric == guide.objective))
    for claim in arms:
        result = results[claim.key]
        if claim.change is None or result.mean is None or result.against is None:
            continue
        assert result.n == result.against.n == claim.change.n
        assert result.mean / result.against.mean == pytest.approx(1 + claim.change.mean)
