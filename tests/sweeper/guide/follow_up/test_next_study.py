"""The study to run next: what is undecided, or at an edge, decides what it holds."""

from __future__ import annotations

import pytest

from sweeper.planning.cells import cells as planned_cells
from sweeper.planning.trials import confirm_trials
from sweeper.study.fingerprint import changed_fields
from tests.sweeper.guide.follow_up.next_cases import ABOVE, AROUND, FRESH, OPEN, OTHER, Case, knobs, study_with
from tests.sweeper.guide.study_records import make_study, setting

# No confirm stage


def test_a_study_without_a_confirm_stage_gets_one_and_is_continued(tmp_path):
    case = Case(study_with(confirm=None))
    found, study = case.written(tmp_path)
    assert study.confirm is not None
    assert (study.name, study.confirm.top, study.confirm.seeds) == (case.study.name, 3, "auto")
    assert changed_fields(case.study, study) == []
    assert study.model_copy(update={"confirm": None}) == case.study
    assert "Confirm the lowest three settings" in found.aims[0]


def test_only_the_new_trials_of_a_continued_study_are_counted(tmp_path):
    found, study = Case(study_with(confirm=None)).written(tmp_path)
    tested = planned_cells(study)[1:4]
    assert found.trials == len(confirm_trials(study, tested, range(12)))


def test_a_single_hopeful_setting_is_confirmed_alone(tmp_path):
    case = Case(study_with(confirm=None), seen=ABOVE)
    case.seen[OPEN.key] = AROUND
    found, study = case.written(tmp_path)
    assert study.confirm is not None
    assert study.confirm.top == 1
    assert "the lowest setting of" in found.aims[0]


# Undecided settings


def test_undecided_settings_are_measured_again_and_nothing_else(tmp_path):
    case = Case(study_with()).claims((OPEN, "suggestive"), (OTHER, "no evidence either way"))
    found, study = case.written(tmp_path)
    assert study.name == "block_temp_next"
    assert knobs(study) == {((0,), 0.01, 0.5), ((1,), 0.1, 1.0)}
    assert study.confirm is not None
    assert study.confirm.seeds == 12
    assert "Settle 2 undecided settings" in found.aims[0]
    tested = confirm_trials(study, [cell for cell in planned_cells(study) if not cell.mark][1:], (0,))
    assert {one.cell.dispersion for one in tested} > {OPEN.dispersion, OTHER.dispersion}
    assert study.confirm.top >= len(knobs(study))


def test_settings_that_make_a_grid_are_written_as_one(tmp_path):
    pairs = [(setting((block,), 0.01, tau), "suggestive") for block in (0, 1) for tau in (0.5, 1.0)]
    _, study = Case(study_with()).claims(*pairs).written(tmp_path)  # type: ignore[arg-type]
    assert study.cells == ()
    assert study.confirm is not None
    assert study.confirm.top == 4
    assert knobs(study) == {((block,), 0.01, tau) for block in (0, 1) for tau in (0.5, 1.0)}


@pytest.mark.parametrize("standing", ["confirmed helps", "confirmed hurts", "equivalent", "not comparable"])
def test_decided_settings_are_not_measured_again(tmp_path, standing):
    case = Case(study_with()).claims((OPEN, standing), (OTHER, "suggestive"))
    _, study = case.written(tmp_path)
    assert knobs(study) == {((1,), 0.1, 1.0)}


def test_an_undecided_setting_outside_the_recommended_set_is_let_go():
    case = Case(study_with()).claims((OPEN, "suggestive"))
    case.members = ("baseline",)
    assert case.next() is None


@pytest.mark.parametrize("needed", [None, 51])
def test_a_question_that_takes_too_many_seeds_is_not_asked(needed):
    case = Case(study_with()).claims((OPEN, "suggestive"))
    case.needed = needed
    assert case.next() is None


def test_where_the_seeds_should_have_been_enough_twice_as_many_are_taken(tmp_path):
    case = Case(study_with()).claims((OPEN, "suggestive"))
    case.needed = 4
    found, study = case.written(tmp_path)
    assert study.confirm is not None
    assert study.confirm.seeds == 2 * len(FRESH)
    assert "twice as many as before" in found.aims[0]


def test_a_marked_setting_keeps_its_mark_and_controls_stay(tmp_path):
    marked = setting((1,), 0.1, 1.0, "paper's default")
    controls = [{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}]
    case = Case(study_with(controls=controls), [OPEN, marked])
    _, study = case.claims((OPEN, "suggestive"), (marked, "suggestive")).written(tmp_path)
    assert [cell.label for cell in study.cells] == ["paper's default"]
    assert study.controls == case.study.controls


def test_a_mark_longer_than_a_label_may_be_is_cut(tmp_path):
    marked = setting((1,), 0.1, 1.0, "m" * 200)
    _, study = Case(study_with(), [OPEN, marked]).claims((OPEN, "suggestive"), (marked, "suggestive")).written(tmp_path)
    assert [cell.label for cell in study.cells] == ["m" * 80]


# The edge


@pytest.mark.parametrize(
    ("first", "new"),
    [
        ((0.01, 1.0), {(0.01, 1.0), (0.001, 1.0)}),
        ((1.0, 1.0), {(1.0, 1.0), (10.0, 1.0)}),
        ((0.1, 0.5), {(0.1, 0.5), (0.1, 0.25)}),
        ((0.1, 2.0), {(0.1, 2.0), (0.1, 4.0)}),
        ((0.01, 2.0), {(0.01, 2.0), (0.001, 2.0), (0.01, 4.0), (0.001, 4.0)}),
    ],
)
def test_a_first_choice_at_an_edge_is_followed_one_step_beyond_it(tmp_path, first, new):
    study = make_study(space={"block": [0, 2], "lambda": [0.01, 0.1, 1.0], "tau": [0.5, 1.0, 2.0]})
    case = Case(study).claims((setting((2,), *first), "confirmed helps"))
    case.first = setting((2,), *first).key
    found, study = case.written(tmp_path)
    assert knobs(study) == {((2,), *one) for one in new}
    assert "one step beyond the first choice" in found.aims[0]


def test_a_unique_best_inside_the_axes_leaves_nothing_open():
    study = make_study(space={"block": [0, 2], "lambda": [0.01, 0.1, 1.0], "tau": [0.5, 1.0, 2.0]})
    inside = setting((2,), 0.1, 1.0)
    case = Case(study).claims((inside, "confirmed helps"))
    case.first, case.members = inside.key, (inside.key,)
    assert case.next() is None


def test_shares_of_the_steps_have_ends_of_their_own_and_no_edge():
    space = {"block": [0], "lambda": [0.1], "tau": [1.0], "lambda_warmup": [0.0, 0.1, 0.2], "lambda_end": [0.5, 1.0]}
    study = make_study(space=space)
    case = Case(study, [cell for cell in planned_cells(study) if cell.role == "grid"])
    first = next(cell for cell in case.cells if cell.dispersion.lam_warmup == 0.2)
    case.claims((first, "confirmed helps")).first = first.key
    assert case.next() is None


def test_a_knob_with_one_value_has_no_edge():
    study = make_study(space={"block": [0, 2], "lambda": [0.1], "tau": [1.0]})
    inside = setting((2,), 0.1, 1.0)
    case = Case(study).claims((inside, "confirmed helps"))
    case.first = inside.key
    assert case.next() is None


def test_a_search_has_its_edge_within_half_a_step_of_the_ends(tmp_path):
    space = {"block": [0], "lambda": {"low": 0.001, "high": 0.1, "count": 3}, "tau": [1.0]}
    study = make_study(space=space, screen={"sampler": "random", "trials": 60})
    near, middle = setting((0,), 0.002, 1.0), setting((0,), 0.011, 1.0)
    case = Case(study, [near, middle]).claims((near, "confirmed helps"), (middle, "equivalent"))
    case.first = near.key
    _, wider = case.written(tmp_path)
    assert knobs(wider) == {((0,), 0.002, 1.0), ((0,), 0.0001, 1.0)}
    case.first = middle.key
    assert case.next() is None


def test_no_edge_is_followed_past_what_the_trainer_takes():
    study = make_study(space={"block": [0], "lambda": [1e-6, 1e-5], "tau": [1.0]})
    least = setting((0,), 1e-6, 1.0)
    case = Case(study).claims((least, "confirmed helps"))
    case.first = least.key
    assert case.next() is None


def test_undecided_settings_and_the_edge_share_one_study(tmp_path):
    case = Case(study_with()).claims((OPEN, "suggestive"), (OTHER, "confirmed helps"))
    case.first = OTHER.key
    found, study = case.written(tmp_path)
    assert len(found.aims) == 2
    assert {((0,), 0.01, 0.5), ((1,), 0.1, 1.0), ((1,), 1.0, 1.0), ((1,), 0.1, 2.0)} <= knobs(study)
    assert len(knobs(study)) == 5
