"""A confirm stage in looks, as the guide reads it: who ended where, on which seeds, and with which bound."""

from __future__ import annotations

import math

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.results import Change
from sweeper.guide.schema.statements import Claim
from sweeper.guide.wording.findings import effect_of
from sweeper.records import StudyRecord
from sweeper.render.tables.claim_tables import claim_table
from tests.sweeper.guide.analysis.test_confirm_test import BAD, GOOD, SAME, claim, effects
from tests.sweeper.guide.study_records import BASELINE, make_record, make_study, simulate, trial

SEEDS, LOOKS = (120, 103, 111, 105, 108, 101, 117, 102), (3, 5, 8)
STUDY = make_study(confirm={"top": 3, "seeds": "auto", "limit": 8})
TRUTH = effects(good=-0.6, same=-0.055, bad=0.05)


def in_looks(ran: dict[str, int], effect=TRUTH) -> StudyRecord:
    """A screen on three seeds; then each arm on the first so many fresh seeds, in their order."""
    rows = simulate(STUDY, (GOOD, SAME, BAD), TRUTH, noise=0.05)
    fresh = simulate(STUDY, (GOOD, SAME, BAD), effect, "confirm", SEEDS, noise=0.05, random=1)
    rows += [one for one in fresh if one.spec.seed in SEEDS[: ran.get(one.spec.cell.key, max(ran.values()))]]
    return make_record(STUDY, rows).model_copy(update={"fresh_seeds": SEEDS, "looks": LOOKS})


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(in_looks({GOOD.key: 3, SAME.key: 8, BAD.key: 3}))


def test_each_arm_is_judged_on_the_seeds_it_had_when_it_ended(guide):
    assert [(claim(guide, cell).look, claim(guide, cell).standing) for cell in (GOOD, BAD)] == [
        (3, "confirmed helps"),
        (3, "no evidence either way"),
    ]
    assert claim(guide, SAME).look == 8
    assert [claim(guide, cell).change.n for cell in (GOOD, SAME, BAD)] == [3, 8, 3]


def test_the_bound_of_a_confirmed_claim_belongs_to_its_test(guide):
    made = claim(guide, GOOD)
    assert made.change.mean < made.bound < 0
    assert claim(guide, SAME).bound is None


def test_the_claims_table_says_after_which_look_each_ended(guide):
    found = claim_table(guide)
    assert found.header[-1] == "ended after"
    assert [row[-1] for row in found.rows] == ["", "3", "8", "3"]


def test_a_confirmed_claim_whose_interval_holds_0_is_printed_with_the_bound_of_its_test():
    made = Claim(
        key="", label="", metric="fid_10k", standing="confirmed helps", direction="lower",
        change=Change(n=5, mean=-0.14, low=-0.3, high=0.02), bound=-0.01,
    )  # fmt: skip
    assert effect_of(made) == "-14 % (at least -1.0 %)"
    clear = made.model_copy(update={"change": Change(n=5, mean=-0.14, low=-0.25, high=-0.02)})
    assert effect_of(clear) == "-14 % [-25, -2.0]"


def test_looks_follow_the_order_in_which_seeds_came():
    record = in_looks({GOOD.key: 3, SAME.key: 8, BAD.key: 3})
    in_order = record.model_copy(update={"fresh_seeds": tuple(sorted(SEEDS))})
    assert assemble_guide(in_order).claims == ()  # the arm that ended has no trial on these first seeds


def test_nothing_is_claimed_while_a_look_is_open():
    assert assemble_guide(in_looks({GOOD.key: 3, SAME.key: 5, BAD.key: 3})).claims == ()


def test_a_seed_on_which_only_the_baseline_diverged_is_left_out():
    record = in_looks({GOOD.key: 5, SAME.key: 8, BAD.key: 5})
    lost = trial(BASELINE, SEEDS[1], None, "confirm", "diverged")
    trials = [lost if one.spec.key == lost.spec.key else one for one in record.trials]
    made = claim(assemble_guide(record.model_copy(update={"trials": tuple(trials)})), GOOD)
    assert made.change.n == 4
    assert made.standing == "confirmed helps"


def test_two_fresh_seeds_are_not_comparable():
    study = make_study(confirm={"top": 3, "seeds": 2})
    rows = simulate(study, (GOOD,), TRUTH, noise=0.05) + simulate(study, (GOOD,), TRUTH, "confirm", (7, 8), noise=0.05)
    made = claim(assemble_guide(make_record(study, rows)), GOOD)
    assert (made.standing, made.reason) == ("not comparable", "fewer than three fresh seeds shared with the baseline")


def test_harm_that_is_surely_below_the_margin_is_negligible_and_never_confirmed_to_hurt():
    study = make_study(confirm={"top": 3, "seeds": 20, "margin": 0.05})
    small = effects(good=math.log(1.02), same=0.0, bad=0.0)
    rows = simulate(study, (GOOD, SAME, BAD), small, noise=0.005)
    rows += simulate(study, (GOOD, SAME, BAD), small, "confirm", range(100, 120), noise=0.005, random=1)
    made = claim(assemble_guide(make_record(study, rows)), GOOD)
    assert made.p < 1e-4
    assert (made.standing, made.within_margin) == ("equivalent", True)
