"""Interactions of all pairs of knobs: found where there are some, as one family, and never stated as facts."""

from __future__ import annotations

import math

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.statements import KnobPair
from sweeper.records import Cell
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.claim_tables import knob_table, pair_table
from sweeper.statistics.paired_tests import holm
from tests.sweeper.guide.analysis.test_heuristics import _unsaturated
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, simulate, typical

PAIRS = ("block x lambda", "block x tau", "lambda x tau")


def crossed(cell: Cell) -> float:
    """Tau matters at the larger lambda alone; what the block does is the same everywhere."""
    tau = math.log2(cell.dispersion.tau) * (0.1 if cell.dispersion.lam > 0.1 else -0.1)
    return tau + 0.05 * cell.dispersion.blocks[0]


def guide_of(effect=crossed, noise: float = 0.02) -> Guide:
    study = make_study()
    return assemble_guide(_unsaturated(make_record(study, simulate(study, grid_cells(study), effect, noise=noise))))


@pytest.fixture(scope="module")
def guide() -> Guide:
    return guide_of()


def pair(guide: Guide, words: str) -> KnobPair:
    return next(one for one in guide.pairs if one.words == words)


def test_every_pair_that_the_grid_varies_is_tested_as_one_family(guide: Guide) -> None:
    assert tuple(one.words for one in guide.pairs) == PAIRS
    assert {one.settings for one in guide.pairs} == {24}
    assert [one.adjusted for one in guide.pairs] == holm([one.p for one in guide.pairs if one.p is not None])
    assert [one.seen for one in guide.pairs] == [False, False, True]


def test_the_size_of_an_interaction_is_what_crossings_lie_off_the_sum_of_both(guide: Guide) -> None:
    size, other = pair(guide, "lambda x tau").size, pair(guide, "block x tau").size
    assert size is not None
    assert other is not None
    # +-.1 a doubling of tau: crossings lie .1, 0 and -.1 off, .082 in the mean square.
    assert size == pytest.approx(math.expm1(0.1 * math.sqrt(2 / 3)), rel=0.15)
    assert other < 0.01


def test_the_familys_size_is_in_the_sentence_and_in_the_decision_about_block_and_tau(guide: Guide) -> None:
    own = pair(guide, "block x tau")
    assert (guide.interaction.p, guide.interaction.adjusted) == (pytest.approx(own.p), own.adjusted)
    assert not guide.interaction.rejects
    found = guide_of(lambda cell: 0.2 * (-1) ** cell.dispersion.blocks[0] * math.log2(cell.dispersion.tau))
    assert found.interaction.rejects
    assert {one.name for one in found.knobs} == {"lambda"}


def test_an_interaction_is_graded_as_screening_and_said_of_the_knobs_it_joins(guide: Guide) -> None:
    rules = [rule for rule in guide.rules if rule.rule.startswith("Choose")]
    assert [rule.grade for rule in rules] == ["screening"]
    assert "in the screen the effect of one depends on the other" in rules[0].rule
    assert "(Holm over 3 pairs)" in rules[0].evidence
    assert {one.name: one.depends_on for one in guide.knobs} == {"block": (), "lambda": ("tau",), "tau": ("lambda",)}
    assert {"tau (depends on lambda)", "block"} <= {row[0] for row in knob_table(guide).rows}
    text = render_markdown(guide, {})
    assert "Screening: no claim" in text.partition("All pairs of knobs")[2].partition("\n\n")[0]
    assert [row[-1] for row in pair_table(guide).rows] == ["not seen", "not seen", "seen"]


def test_a_pair_that_the_unsaturated_settings_do_not_vary_is_not_tested() -> None:
    found = assemble_guide(typical())
    reasons = [one.reason for one in found.pairs]
    assert reasons == ["the unsaturated settings do not vary both", "", "the unsaturated settings do not vary both"]
    assert pair(found, "block x tau").adjusted == pair(found, "block x tau").p


def test_a_grid_of_two_knobs_has_its_pair_in_the_sentence_alone() -> None:
    study = make_study(space={"block": [0, 1, 2], "lambda": [0.01], "tau": [0.25, 0.5, 1.0]})
    found = assemble_guide(_unsaturated(make_record(study, simulate(study, grid_cells(study), lambda _: 0.0))))
    assert [one.words for one in found.pairs] == ["block x tau"]
    assert not pair_table(found)
