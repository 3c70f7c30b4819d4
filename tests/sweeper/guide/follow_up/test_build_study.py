"""The study to run next: where all is worse or saturates, when there is none, and what its file says."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.guide.follow_up.build_study import named_next, unused_seeds
from sweeper.guide.follow_up.next_study import next_study
from sweeper.guide.schema.audits import SeedAudit
from sweeper.guide.schema.results import Change, Cost
from sweeper.guide.schema.statements import Standing
from sweeper.planning.cells import cells as planned_cells
from sweeper.planning.trials import confirm_trials, screen_trials
from sweeper.records import Cell
from sweeper.render.next_study_yaml import next_yaml
from sweeper.study import fresh_seeds
from sweeper.study.placeholders import PLACEHOLDER
from tests.sweeper.guide.follow_up.next_cases import (
    ABOVE,
    AROUND,
    BELOW,
    OPEN,
    OTHER,
    Case,
    reread,
    saturate,
    study_with,
)
from tests.sweeper.guide.study_records import make_study, setting
from trainer.recipe import Dispersion

# All worse, and saturation


def test_where_all_is_worse_weaker_losses_are_tried(tmp_path):
    case = Case(study_with(), seen=ABOVE).claims((OPEN, "confirmed hurts"), (OTHER, "confirmed hurts"))
    found, study = case.written(tmp_path)
    assert study.space.lam == (0.0003, 0.001, 0.003)
    assert (study.space.block, study.space.tau) == (case.study.space.block, case.study.space.tau)
    assert "weaker" in study.question
    assert len(found.aims) == 1


def test_a_screen_wholly_above_needs_no_confirm_stage_for_that(tmp_path):
    _, study = Case(study_with(confirm=None), seen=ABOVE).written(tmp_path)
    assert study.name == "block_temp_next"
    assert study.space.lam == (0.0003, 0.001, 0.003)


def test_losses_as_weak_as_can_be_are_not_weakened():
    study = make_study(space={"block": [0], "lambda": [1e-6], "tau": [1.0]})
    assert Case(study, seen=ABOVE).claims((setting((0,), 1e-6, 1.0), "confirmed hurts")).next() is None


def test_one_setting_that_is_not_worse_keeps_the_space():
    case = Case(study_with(), seen=ABOVE).claims((OPEN, "confirmed hurts"), (OTHER, "equivalent"))
    case.seen[OTHER.key] = AROUND
    assert case.next() is None


def test_where_most_settings_saturate_tau_becomes_relative(tmp_path):
    case = saturate(Case(study_with()).claims((OPEN, "equivalent")), 5)
    _, study = case.written(tmp_path)
    assert (study.space.tau, study.space.tau_units) == ((0.5, 1.0, 2.0), "relative")
    assert study.space.lam == case.study.space.lam


@pytest.mark.parametrize(
    "space",
    [
        {"variant": ["l2", "cosine"]},
        {"tau_units": "relative"},
        {"tau_units": ["absolute", "median"]},
        {"local_batch": [2, "all"]},
        {},
    ],
)
def test_tau_stays_where_it_is_relative_or_other_variants_run_or_half_is_sound(space):
    study = study_with(space={"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5, 1.0], **space})
    case = Case(study).claims((OPEN, "equivalent"))
    assert saturate(case, len(case.cells) if space else 4).next() is None


def test_a_summed_distance_is_left_out_where_tau_becomes_relative(tmp_path):
    space = {"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5, 1.0], "distance": ["mean", "sum"]}
    case = Case(study_with(space=space)).claims((OPEN, "equivalent"))
    _, study = saturate(case, len(case.cells)).written(tmp_path)
    assert (study.space.tau_units, study.space.distance) == ("relative", ("mean",))


def test_weaker_and_relative_come_together(tmp_path):
    case = saturate(Case(study_with(), seen=ABOVE).claims((OPEN, "confirmed hurts")), 8)
    found, study = case.written(tmp_path)
    assert (study.space.lam, study.space.tau_units) == ((0.0003, 0.001, 0.003), "relative")
    assert len(found.aims) == 2


# When there is nothing to write


def test_nothing_is_written_while_the_study_runs_or_its_confirm_stage_is_to_come():
    running = Case(study_with(confirm=None))
    running.going = True
    assert running.next() is None
    to_come = saturate(Case(study_with()), 8)
    to_come.first = OTHER.key
    assert to_come.next() is None


def test_nothing_is_written_without_a_baseline():
    case = Case(study_with(confirm=None))
    stage = case.stage("screen", case.cells, (0, 1, 2)).model_copy(update={"baseline": None})
    audit = SeedAudit(margin=0.05, top=3, planned=5)
    spent = Cost(wall_s=1.0, states={}, train_s=0, eval_s=0, slots=1, other_s=None)
    assert next_study(case.record, (stage,), (), None, audit, spent) is None


def test_a_study_in_which_all_is_equivalent_leaves_nothing_open():
    assert Case(study_with()).claims((OPEN, "equivalent"), (OTHER, "equivalent")).next() is None


# Cost, seeds, names, file


def test_trials_and_seconds_follow_the_plan_and_what_a_trial_took(tmp_path):
    case = Case(study_with()).claims((OPEN, "suggestive"))
    found, study = case.written(tmp_path)
    assert study.confirm is not None
    assert study.confirm.seeds != "auto"
    tested = [cell for cell in planned_cells(study) if cell.role == "grid"]
    expected = len(screen_trials(study)) + len(confirm_trials(study, tested, fresh_seeds(study)))
    assert found.trials == expected
    assert found.seconds == pytest.approx(expected * 900.0 / len(case.record.trials))


def test_further_seeds_of_lambda_0_are_asked_for_again_and_what_belongs_to_looks_is_not(tmp_path):
    before = study_with(
        screen={"seeds": 3, "baseline_seeds": "auto"}, confirm={"seeds": "auto", "equivalence": True, "limit": 5}
    )
    _, study = Case(before).claims((OPEN, "suggestive")).written(tmp_path)
    assert study.screen.baseline_seeds == "auto"
    assert study.confirm is not None
    assert not study.confirm.equivalence


def test_a_stopped_trial_counts_as_far_as_it_came():
    case = Case(study_with()).claims((OPEN, "suggestive"))
    whole = case.next()
    case.screened = "pruned"
    halved = case.next()
    assert whole is not None
    assert halved is not None
    done, cut = len(case.record.trials), len(case.cells) * len(case.study.screen.seeds)
    assert halved.seconds == pytest.approx((whole.seconds or 0.0) * done / (done - cut / 2))


def test_seeds_are_disjoint_from_all_used_or_planned_before_and_from_each_other():
    record = Case(study_with(screen={"seeds": [3, 250]}, confirm={"seeds": "auto", "limit": 30})).record
    seeds = unused_seeds(record, 500)
    assert len(set(seeds)) == 500
    assert min(seeds) == 300
    last = Case(study_with(screen={"seeds": [2**31 - 1]}, confirm={"seeds": [0, 1]})).record
    assert set(unused_seeds(last, 5)) == {2, 3, 4, 5, 6}


def test_a_chain_of_studies_never_returns_to_a_seed(tmp_path):
    study, used = study_with(), set()
    for _ in range(4):
        used |= {*study.screen.seeds, *fresh_seeds(study)}
        case = Case(study, [OPEN]).claims((OPEN, "suggestive"))
        _, study = case.written(tmp_path)
        assert study.confirm is not None
        assert not used & {*study.screen.seeds, *fresh_seeds(study)}
    assert study.name == "block_temp_next4"


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("x", "x_next"),
        ("x_next", "x_next2"),
        ("x_next9", "x_next10"),
        ("y" * 64, "y" * 59 + "_next"),
        ("..a", "..a_next"),
    ],
)
def test_names_count_on_and_stay_within_their_length(name, after):
    assert named_next(name) == after


def test_the_file_begins_with_what_it_follows_and_why(tmp_path):
    case = Case(study_with()).claims((OPEN, "suggestive"))
    found, study = case.written(tmp_path)
    comment = list(itertools.takewhile(lambda line: line.startswith("#"), next_yaml(found).splitlines()))
    assert comment[0] == "# Follows the study block_temp, which left this open:"
    assert found.aims[0].split(" (")[0] in " ".join(comment)
    assert found.file == f"{study.name}.yaml"
    assert max(map(len, comment)) <= 120


blocks = st.sampled_from([(0,), (1,), (3,), (0, 2), (0, 1, 2, 3)])
points = st.sampled_from([1e-6, 0.001, 0.01, 0.1, 1.0, 1234.5, 1e6])
kinds = st.sampled_from([("l2", "absolute"), ("l2", "relative"), ("cosine", "absolute"), ("covariance", "absolute")])
# No study file holds a label that is a placeholder.
marks = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(
    lambda text: not PLACEHOLDER.fullmatch(text)
)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    variant, units = draw(kinds)
    tau = 1.0 if variant == "covariance" else draw(points)
    knobs = Dispersion(blocks=draw(blocks), lam=draw(points), tau=tau, variant=variant, tau_units=units)
    mark = draw(marks)
    return Cell(role="grid", label=mark or "a setting", dispersion=knobs, mark=mark)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tried=st.lists(cells(), min_size=1, max_size=6, unique_by=lambda cell: cell.key),
    standings=st.lists(
        st.sampled_from(["confirmed helps", "confirmed hurts", "suggestive", "no evidence either way"]),
        min_size=6,
        max_size=6,
    ),
    seen=st.sampled_from([ABOVE, AROUND, BELOW]),
    first=st.integers(0, 5),
    full=st.integers(0, 6),
    confirm=st.sampled_from([None, {}, {"seeds": "auto"}, {"seeds": [7, 2**31 - 1], "top": 100}]),
    search=st.booleans(),
    relative=st.booleans(),
)
def test_whatever_was_found_the_file_is_a_study_on_fresh_seeds(
    tmp_path: Path,
    tried: list[Cell],
    standings: list[Standing],
    seen: Change,
    first: int,
    full: int,
    confirm: dict[str, object] | None,
    search: bool,
    relative: bool,
) -> None:
    screen = {"sampler": "random", "trials": 12, "seeds": [0, 1]} if search else {"seeds": [0, 1]}
    lam: object = {"low": 0.001, "high": 1.0, "count": 4} if search else [0.01, 0.1]
    space = {"block": [0, "all"], "lambda": lam, "tau_units": "relative" if relative else "absolute"}
    case = saturate(Case(make_study(space=space, screen=screen, confirm=confirm), tried, seen), full)
    if confirm is not None:
        case.claims(*zip(tried, standings, strict=False))
    case.first = tried[first % len(tried)].key
    found = case.next()
    if found is None:
        return
    study = reread(found, tmp_path)
    assert found.trials > 0
    assert found.aims
    if study.name != case.study.name:
        assert study.confirm is not None
        assert study.confirm.seeds != "auto"
        used = {one.spec.seed for one in case.record.trials}
        assert not used & {*study.screen.seeds, *fresh_seeds(study)}
        again = [one for one in planned_cells(study) if one.role == "grid"]
        for key, standing in case.standings.items():
            if standing in ("suggestive", "no evidence either way"):
                assert key in {one.key for one in again}
