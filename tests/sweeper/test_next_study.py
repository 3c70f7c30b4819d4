"""The study to run next: what is open decides what it holds, and what is written is read back as a valid study."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.guide.audits import SeedAudit
from sweeper.guide.follow_up import named_next, unused_seeds
from sweeper.guide.next_study import next_study
from sweeper.guide.results import CellResult, Change, Cost, StageResult
from sweeper.guide.statements import Claim, NextStudy, Recommendation, Standing
from sweeper.plan import cells as planned_cells
from sweeper.plan import confirm_trials, screen_trials
from sweeper.records import Cell, Stage, StudyRecord, TrialState
from sweeper.render.next_study import next_yaml
from sweeper.study import Study
from sweeper.study.file import read_study
from sweeper.study.fingerprint import changed_fields
from tests.sweeper.study_records import BASELINE, grid_cells, make_record, make_study, setting, trial
from trainer.recipe import Dispersion

ABOVE, BELOW, AROUND = (Change(n=3, mean=m, low=m - 0.1, high=m + 0.1) for m in (0.3, -0.3, 0.01))
FRESH = tuple(range(100, 105))


class Case:
    """A study, what its screen saw of every setting, and what its fresh seeds say of some."""

    def __init__(self, study: Study, tried: list[Cell] | None = None, seen: Change | None = AROUND) -> None:
        self.study = study
        self.cells = tried or grid_cells(study)
        self.seen = dict.fromkeys((cell.key for cell in self.cells), seen)
        self.standings: dict[str, Standing] = {}
        self.saturated: set[str] = set()
        self.first = "baseline"
        self.members: tuple[str, ...] = ()
        self.needed: int | None = 12
        self.going = False
        self.screened: TrialState = "complete"

    def claims(self, *found: tuple[Cell, Standing]) -> Case:
        self.standings |= {cell.key: standing for cell, standing in found}
        self.members = ("baseline", *self.standings)
        return self

    @property
    def record(self) -> StudyRecord:
        seeds = self.study.screen.seeds
        rows = [trial(BASELINE, seed) for seed in seeds]
        rows += [trial(cell, seed, state=self.screened) for seed in seeds for cell in self.cells]
        if self.standings:
            tested = [cell for cell in self.cells if cell.key in self.standings]
            rows += [trial(cell, seed, stage="confirm") for seed in FRESH for cell in (BASELINE, *tested)]
        if self.going:
            rows.append(trial(self.cells[0], 9, None, state="running"))
        return make_record(self.study, rows)

    def stage(self, stage: Stage, tried: list[Cell], seeds: tuple[int, ...]) -> StageResult:
        def result(cell: Cell) -> CellResult:
            change = self.seen.get(cell.key)
            full = cell.key in self.saturated
            return CellResult(
                key=cell.key, cell=cell, states={"complete": 3}, n=3, mean=12.0, change=change, saturated=full
            )

        rows = tuple(map(result, tried))
        return StageResult(stage=stage, seeds=seeds, baseline=result(BASELINE), controls=(), cells=rows)

    def next(self) -> NextStudy | None:
        stages = [self.stage("screen", self.cells, self.study.screen.seeds)]
        named = {cell.key: cell for cell in self.cells}
        if self.standings:
            stages.append(self.stage("confirm", [named[key] for key in self.standings], FRESH))
        claims = tuple(
            Claim(key=key, label=named[key].label, metric="fid_10k", standing=one, direction="lower", change=AROUND)
            for key, one in self.standings.items()
        )
        chosen = Recommendation(members=self.members, first=self.first, why="bet", unique=False, stopped=0)
        audit = SeedAudit(margin=0.05, top=3, planned=5, difference_sd=0.1, needed=self.needed)
        spent = Cost(wall_s=900.0, states={}, train_s=1.0, eval_s=1.0, slots=2, other_s=None)
        return next_study(self.record, tuple(stages), claims, chosen, audit, spent)

    def written(self, folder: Path) -> tuple[NextStudy, Study]:
        found = self.next()
        assert found is not None
        return found, reread(found, folder)


def reread(found: NextStudy, folder: Path) -> Study:
    path = folder / found.file
    path.write_text(next_yaml(found), encoding="utf-8")
    return read_study(path)


def knobs(study: Study) -> set[tuple[object, ...]]:
    settings = [cell.dispersion for cell in planned_cells(study) if cell.role == "grid"]
    return {(one.blocks, one.lam, one.tau) for one in settings}


def study_with(**changes: object) -> Study:
    return make_study(**{"space": {"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5, 1.0]}, **changes})


OPEN = setting((0,), 0.01, 0.5)
OTHER = setting((1,), 0.1, 1.0)


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
    assert len(study.confirm.seeds) == 12
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
    assert len(study.confirm.seeds) == 2 * len(FRESH)
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


def saturate(case: Case, count: int) -> Case:
    case.saturated = {cell.key for cell in case.cells[:count]}
    return case


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
        {},
    ],
)
def test_tau_stays_where_it_is_relative_or_other_variants_run_or_half_is_sound(space):
    study = study_with(space={"block": [0, 1], "lambda": [0.01, 0.1], "tau": [0.5, 1.0], **space})
    case = Case(study).claims((OPEN, "equivalent"))
    assert saturate(case, 8 if space else 4).next() is None


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
    expected = len(screen_trials(study)) + len(confirm_trials(study, tested, study.confirm.seeds))
    assert found.trials == expected
    assert found.seconds == pytest.approx(expected * 900.0 / len(case.record.trials))


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
        used |= {*study.screen.seeds, *(study.confirm.seeds if study.confirm else ())}
        case = Case(study, [OPEN]).claims((OPEN, "suggestive"))
        _, study = case.written(tmp_path)
        assert study.confirm is not None
        assert not used & {*study.screen.seeds, *study.confirm.seeds}
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
marks = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


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
        assert not used & {*study.screen.seeds, *study.confirm.seeds}
        again = [one for one in planned_cells(study) if one.role == "grid"]
        for key, standing in case.standings.items():
            if standing in ("suggestive", "no evidence either way"):
                assert key in {one.key for one in again}
