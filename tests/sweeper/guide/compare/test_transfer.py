"""What may be said of two studies: a setting transfers only where each confirms it by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.compare.head_to_head import paired
from sweeper.guide.compare.transfer import blocks_match, transfer
from sweeper.guide.schema.guide import Guide
from sweeper.render.comparison import comparison_markdown
from tests.sweeper.guide.compare.two_studies import LARGE, SMALL, Effect, helps, hurts, nothing, record, rival
from tests.sweeper.guide.study_records import setting
from trainer.recipe import numbered


def guide(effect: Effect, depth: int = SMALL, **more: object) -> Guide:
    return assemble_guide(record(effect, depth, **more))  # type: ignore[arg-type]


def standing(one: Guide) -> str:
    return one.claims[0].standing


def test_a_setting_confirmed_in_each_study_by_itself_transfers():
    found = transfer(guide(helps), guide(helps, LARGE, random=1))
    assert found.transfers
    assert [match.verdict for match in found.matches] == ["transfers"]
    assert found.headline == (
        "Confirmed to help in each study by itself: block 1, lambda 0.01, tau 0.5 (in B block 3, lambda 0.01, tau 0.5)."
    )
    assert (found.matches[0].a.block, found.matches[0].b.block) == ("1/4", "3/12")
    assert found.matches[0].block == "share of depth"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_gain_confirmed_in_one_study_only_is_not_shown_to_transfer(swapped):
    one, other = guide(helps), guide(nothing, LARGE, random=2)
    assert standing(other) not in ("confirmed helps", "confirmed hurts")
    found = transfer(other, one) if swapped else transfer(one, other)
    assert not found.transfers
    assert found.matches[0].verdict == "not shown to transfer"
    assert "Not shown to transfer" in found.headline
    assert "Reverses" not in found.headline


def test_a_gain_in_one_study_and_a_harm_in_the_other_reverses():
    found = transfer(guide(helps), guide(hurts, LARGE))
    assert not found.transfers
    assert found.matches[0].verdict == "reverses"
    assert found.headline.startswith("Reverses")


def test_a_harm_confirmed_twice_is_told_and_is_no_transfer():
    found = transfer(guide(hurts), guide(hurts, LARGE, random=1))
    assert not found.transfers
    assert found.matches[0].verdict == "hurts in both"
    assert "No gain to transfer" in found.headline


def test_screens_alone_transfer_nothing():
    def screened(depth: int) -> Guide:
        whole = record(helps, depth)
        only = tuple(trial for trial in whole.trials if trial.spec.stage == "screen")
        return assemble_guide(whole.model_copy(update={"trials": only}))

    found = transfer(screened(SMALL), screened(LARGE))
    assert not found.transfers
    assert found.matches[0].a.standing is None
    assert found.matches[0].a.stage == "screen"
    assert "screen only" in comparison_markdown(found)


def test_one_recipe_or_one_training_never_transfers_however_sure_both_are():
    once = guide(helps)
    same = transfer(once, guide(helps, random=1))
    assert (same.relation, same.transfers, same.matches[0].verdict) == ("same recipe", False, None)
    rescored = guide(helps, eval={"nfe": 20})
    assert standing(rescored) == "confirmed helps"
    again = transfer(once, rescored)
    assert (again.relation, again.transfers) == ("same training", False)
    assert "only the measuring differs" in again.headline


def test_the_chance_of_a_false_transfer_is_the_second_studys_own():
    """A truly helps, B does nothing: 5 % of 60 is 3, and 7 are above its 96 % quantile."""
    one = guide(helps)
    false = sum(transfer(one, guide(nothing, LARGE, random=number)).transfers for number in range(60))
    assert false <= 7


@pytest.mark.parametrize(
    ("a", "depth_a", "b", "depth_b", "how"),
    [
        ((1,), 4, (1,), 4, "index"),
        ((1,), 4, (2,), 4, None),
        ((1,), 4, (3,), 12, "share of depth"),
        ((3,), 12, (1,), 4, "share of depth"),
        ((1,), 4, (1,), 12, None),
        ((1,), 4, (1,), 6, "share of depth"),  # floor(0.25 * 6)
        ((1,), 4, (2,), 6, None),
        ((1,), 4, (4,), 12, None),
        ((3,), 4, (11,), 12, "share of depth"),  # both are what the fraction 1.0 selects
        ((0, 2), 4, (0, 6), 12, "share of depth"),
        ((0, 2), 4, (0,), 12, None),
        ((0, 1, 2, 3), 4, tuple(range(12)), 12, "all"),
        ((0, 1, 2, 3), 4, (0, 3, 6, 9), 12, "share of depth"),
    ],
)
def test_blocks_match_by_index_or_by_share_of_the_depth(a, depth_a, b, depth_b, how):
    assert blocks_match(a, numbered(depth_a), b, numbered(depth_b)) == how


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_match_of_blocks_does_not_depend_on_the_order_and_every_shallow_block_has_one(depth_a, depth_b, data):
    a, b = data.draw(st.integers(0, depth_a - 1)), data.draw(st.integers(0, depth_b - 1))
    assert blocks_match((a,), numbered(depth_a), (b,), numbered(depth_b)) == blocks_match(
        (b,), numbered(depth_b), (a,), numbered(depth_a)
    )
    if depth_a <= depth_b:
        assert any(blocks_match((a,), numbered(depth_a), (one,), numbered(depth_b)) for one in range(depth_b))


FORMS = (
    *({"tau_units": "median"}, {"distance": "sum"}, {"features": "layer_norm"}, {"negatives": 64}),
    *({"lam_warmup": 0.1}, {"lam_end": 0.5}),
)


def test_settings_match_only_with_the_same_lambda_variant_and_units():
    def other(**changes: object) -> Guide:
        cell = setting((3,), 0.01, 0.5)
        changed = cell.model_copy(update={"dispersion": cell.dispersion.model_copy(update=changes)})
        return guide(helps, LARGE, cells=(changed,))

    one = guide(helps)
    assert transfer(one, other()).matches
    for change in (
        {"lam": 0.02},
        {"tau": 1.0},
        {"variant": "cosine"},
        {"tau_units": "relative"},
        {"blocks": (4,)},
        *FORMS,
    ):
        found = transfer(one, other(**change))
        assert not found.matches, change
        assert found.unmatched == (1, 1)
        assert "no setting is in both studies" in found.headline


def test_tau_is_shown_and_matched_in_units_of_the_median_distance_too():
    one = guide(helps).model_copy(update={"distances": (1.0, 2.0, 3.0, 4.0)})
    there = guide(helps, LARGE, cells=(setting((3,), 0.01, 2.0),))
    assert not transfer(one, there.model_copy(update={"distances": (None,) * LARGE})).matches
    found = transfer(one, there.model_copy(update={"distances": (8.4,) * LARGE}))
    assert found.matches[0].tau == "median distance"
    assert found.matches[0].a.tau_distances == (0.25,)
    assert found.matches[0].b.tau_distances == pytest.approx((0.238,), abs=1e-3)
    assert "0.5 = 0.250 x d; 2 = 0.238 x d" in comparison_markdown(found)
    assert not transfer(one, there.model_copy(update={"distances": (10.0,) * LARGE})).matches


def test_within_one_recipe_a_tau_that_is_merely_near_is_another_setting():
    one = guide(helps).model_copy(update={"distances": (1.0,) * SMALL})
    near = guide(helps, cells=(setting((1,), 0.01, 0.52),)).model_copy(update={"distances": (1.0,) * SMALL})
    assert not transfer(one, near).matches


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ({"eval": {"samples": 5000}}, "different sample counts"),
        ({"eval": {"nfe": 20}}, "solver differs"),
        ({"eval": {"cfg": 2.0}}, "guidance (CFG) differs"),
        ({"data": {"name": "mnist5k"}}, "reference differs"),
    ],
)
def test_figures_measured_differently_are_called_not_comparable(recipe, why):
    found = transfer(guide(helps), guide(helps, LARGE, **recipe))
    assert any(why in reason for reason in found.incomparable)
    text = comparison_markdown(found)
    assert "Not comparable, only directions are" in text
    assert "of the baselines" not in text


def test_other_data_under_the_same_name_is_not_comparable_and_not_paired():
    one, two = record(helps), record(helps, random=1)
    moved = [
        trial.model_copy(update={"facts": trial.facts.model_copy(update={"data_hash": "00" * 32})})
        for trial in two.trials
        if trial.facts
    ]
    other = two.model_copy(update={"trials": tuple(moved)})
    assert "not known to be the same data" in transfer(assemble_guide(one), assemble_guide(other)).incomparable
    assert paired(rival(one), rival(other)).reason == "their data differ"


def test_what_was_measured_alike_is_comparable_across_sizes():
    found = transfer(guide(helps), guide(helps, LARGE))
    assert found.comparable
    assert found.baselines[0] is not None
    assert found.baselines[0].n == 5
    assert [one.name for one in found.differences] == ["model"]


def test_the_objective_of_a_comparison_is_called_by_its_extractor():
    dinov2 = {"eval": {"extractor": "dinov2", "weights": "w"}}
    text = comparison_markdown(transfer(guide(helps, **dinov2), guide(helps, LARGE, **dinov2)))
    assert "FD-DINOv2-10K of the baselines" in text
    assert "FID" not in text


@pytest.mark.parametrize("form", [{"tau_units": "median"}, {"distance": "sum"}, {"features": "layer_norm"}])
def test_tau_of_another_form_of_the_loss_is_no_distance_that_a_guide_knows(form):
    cells = tuple(
        cell.model_copy(update={"dispersion": cell.dispersion.model_copy(update=form)})
        for cell in (setting((3,), 0.01, 0.5), setting((3,), 0.01, 2.0))
    )
    one, there = guide(helps, cells=cells[:1]), guide(helps, LARGE, cells=cells[1:])
    one = one.model_copy(update={"distances": (1.0, 2.0, 3.0, 4.0)})
    assert not transfer(one, there.model_copy(update={"distances": (16.0,) * LARGE})).matches
