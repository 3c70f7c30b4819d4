"""Interactions of all pairs of knobs: found where there are some, as one family, and never stated as facts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.statements import KnobPair
from sweeper.records import Cell
from sweeper.render.markdown import render_markdown
from sweeper.render.tables.claim_tables import knob_table, pair_table
from sweeper.statistics.paired_tests import holm
from tests.sweeper.guide.analysis.test_heuristics import _unsaturated
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, setting, simulate, typical

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


def searched(effect, settings: int = 24, short: bool = False) -> Guide:
    """A random search of two blocks, lambda and tau; with `short` the last setting lacks a seed."""
    study = make_study(
        space={
            "block": [0, 2],
            "lambda": {"low": 1e-3, "high": 1, "count": 5},
            "tau": {"low": 0.1, "high": 2, "count": 5},
        },
        screen={"sampler": "random", "trials": 3 * (settings + 1)},
    )
    draw = np.random.default_rng(0)
    lams, taus = 10 ** draw.uniform(-3, 0, settings), 10 ** draw.uniform(-1, 0.3, settings)
    cells = [
        setting((2 * (i % 2),), round(float(lam), 4), round(float(tau), 3))
        for i, (lam, tau) in enumerate(zip(lams, taus, strict=True))
    ]
    rows = simulate(study, cells, effect, noise=0.03)
    if short:
        rows = [one for one in rows if (one.spec.cell, one.spec.seed) != (cells[-1], 2)]
    return assemble_guide(_unsaturated(make_record(study, rows)), surface=False)


def _saddle(cell: Cell) -> float:
    return 0.3 * math.log10(cell.dispersion.lam / 0.03) * math.log10(cell.dispersion.tau / 0.5)


@pytest.mark.parametrize("short", [False, True])
def test_a_search_is_tested_by_products_that_add_to_curves(short: bool) -> None:
    found = searched(_saddle, short=short)
    assert tuple(one.words for one in found.pairs) == PAIRS
    assert [one.seen for one in found.pairs] == [False, False, True]
    assert {one.settings for one in found.pairs} == {24 - short}
    assert found.interaction.p is None
    assert not found.interaction.rejects
    text = render_markdown(found, {})
    assert "does the product of both add to a curve in each?" in text
    assert "Block x tau was not tested" not in text


def test_curves_alone_are_no_interaction_of_a_search() -> None:
    found = searched(lambda cell: 0.1 * math.log10(cell.dispersion.lam) ** 2 + 0.2 * math.log10(cell.dispersion.tau))
    assert not any(one.seen for one in found.pairs)


def test_a_search_of_few_settings_is_not_tested() -> None:
    found = searched(_saddle, settings=9)
    assert {one.reason for one in found.pairs} == {"too few settings and seeds to test it"}


def test_a_search_whose_settings_are_all_saturated_is_not_tested() -> None:
    record = make_record(
        study := make_study(
            space={"block": [0], "lambda": {"low": 0.2, "high": 1, "count": 5}, "tau": [0.1, 0.2]},
            screen={"sampler": "random", "trials": 12},
        ),
        simulate(study, [setting((0,), lam, tau) for lam in (0.3, 0.5, 0.9) for tau in (0.1, 0.2)], lambda _: 0.1),
    )
    found = assemble_guide(record, surface=False)
    assert [(one.words, one.reason) for one in found.pairs] == [
        ("lambda x tau", "the unsaturated settings do not vary both")
    ]


def test_a_grid_of_lambda_and_tau_shows_its_pair() -> None:
    study = make_study(space={"block": [1], "lambda": [0.01, 0.05, 0.25], "tau": [0.25, 0.5, 1.0]})
    found = assemble_guide(_unsaturated(make_record(study, simulate(study, grid_cells(study), lambda _: 0.0))))
    assert [row[0] for row in pair_table(found).rows] == ["lambda x tau"]
