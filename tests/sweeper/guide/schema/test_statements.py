"""Whatever a guide says in one place, it says in every other: verdict, rules, set and controls together."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.planning.cells import cells as planned_cells
from sweeper.records import BASELINE_KEY, Cell, StudyRecord, TrialRecord
from tests.sweeper.guide.analysis.test_confirm_test import BAD, GOOD, SAME, confirmed, effects
from tests.sweeper.guide.study_records import control, make_record, make_study, setting, simulate


def told(guide: Guide) -> str:
    """Everything a guide says in words."""
    return " ".join(
        (guide.verdict.headline, *guide.verdict.sentences, *(rule.rule + rule.evidence for rule in guide.rules))
    )


def changed_trials(record: StudyRecord, change: Callable[[TrialRecord], dict[str, object]]) -> StudyRecord:
    """A record with some trials changed."""
    return make_record(record.study, [one.model_copy(update=change(one)) for one in record.trials])


@pytest.mark.parametrize("fate", ["pruned", "audited", "diverged"])
def test_what_is_confirmed_to_help_is_recommended_whatever_the_screen_made_of_it(fate: str) -> None:
    def change(one: TrialRecord) -> dict[str, object]:
        if one.spec.cell != GOOD or one.spec.stage != "screen" or one.spec.seed == 0:
            return {}
        return {"audited": True} if fate == "audited" else {"state": fate, "rungs": one.rungs[:1]}

    guide = assemble_guide(changed_trials(confirmed(effects(good=-0.3)), change))
    assert guide.verdict.kind == "helps"
    assert guide.recommendation is not None
    assert (guide.recommendation.first, guide.recommendation.why) == (GOOD.key, "confirmed")
    assert not re.search(r"(Use|Keep|keep) lambda 0\b(?!\.\d)", told(guide))
    assert "no gain of a setting is confirmed" not in told(guide)


def lost_on(*seeds: int, same: float, good: float = 0.0) -> Guide:
    """A guide in which `SAME` diverged on some fresh seeds."""

    def change(one: TrialRecord) -> dict[str, object]:
        lost = one.spec.cell == SAME and one.spec.seed in seeds
        return {"state": "diverged", "rungs": one.rungs[:1]} if lost else {}

    return assemble_guide(changed_trials(confirmed(effects(good=good, same=same)), change))


def test_a_setting_that_could_not_be_compared_is_never_the_single_best_nor_before_a_confirmed_one() -> None:
    guide = lost_on(102, good=-0.3, same=-0.9)
    assert guide.recommendation is not None
    assert guide.recommendation.first == GOOD.key
    assert not guide.recommendation.unique
    assert "bet" not in told(guide)


@pytest.mark.parametrize("seeds", [(102,), (101, 102)])
def test_what_diverged_on_a_fresh_seed_was_not_tested_and_is_no_bet(seeds: tuple[int, ...]) -> None:
    guide = lost_on(*seeds, same=-0.9)
    assert guide.recommendation is not None
    assert (guide.recommendation.first, guide.recommendation.why) == (BASELINE_KEY, "default")
    assert "bet on" not in told(guide)


def test_a_setting_that_always_diverged_on_fresh_seeds_leaves_the_set() -> None:
    def change(one: TrialRecord) -> dict[str, object]:
        lost = one.spec.cell == SAME and one.spec.stage == "confirm"
        return {"state": "diverged", "rungs": one.rungs[:1]} if lost else {}

    guide = assemble_guide(changed_trials(confirmed(effects()), change))
    assert guide.recommendation is not None
    assert SAME.key not in guide.recommendation.members
    assert guide.recommendation.stopped == 1


def test_only_the_control_of_the_setting_named_is_its_rival() -> None:
    study = make_study(controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}])
    cells = (control(), GOOD, SAME)
    guide = assemble_guide(confirmed(effects(good=-0.9, same=-0.2, control=-0.19), cells=cells, study=study))
    assert {one.standing for one in guide.claims} == {"confirmed helps"}
    assert guide.verdict.kind == "helps"


def test_a_confirm_stage_without_settings_is_finished_and_says_so() -> None:
    study = make_study(controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}])
    rows = simulate(study, [control(), BAD], effects(bad=2.0), stopped=lambda cell: cell == BAD)
    rows += simulate(study, [control()], effects(), "confirm", range(100, 105))
    guide = assemble_guide(make_record(study, rows))
    assert guide.verdict.headline == "No evidence that any setting helps: none was worth confirming on fresh seeds."


def test_harm_surely_below_the_margin_is_negligible_and_never_confirmed_to_hurt() -> None:
    guide = assemble_guide(confirmed(effects(good=0.01, same=0.01, bad=0.01), noise=0.0005))
    assert {(one.standing, one.within_margin) for one in guide.claims} == {("equivalent", True)}
    assert "equivalent to lambda 0 within 5 %" in guide.verdict.headline


def test_where_only_harm_was_tested_nothing_is_said_of_gains_that_would_have_shown() -> None:
    study = make_study()
    rows = simulate(study, [GOOD], effects(good=0.1), noise=0.01)
    rows += simulate(study, [GOOD], effects(), "confirm", range(100, 105), noise=0.05)
    points = " ".join(assemble_guide(make_record(study, rows)).verdict.sentences)
    assert "tested for harm" in points
    assert "would probably have shown" not in points


def test_the_seeds_a_confirm_stage_began_with_are_read_not_guessed() -> None:
    study = make_study(confirm={"top": 3, "seeds": "auto"})
    record = confirmed(effects(), noise=0.1, fresh=4, study=study)
    assert not assemble_guide(record).claims
    assert assemble_guide(record.model_copy(update={"fresh_seeds": (100, 101, 102, 103)})).claims


def test_a_saturated_setting_is_flagged_wherever_it_is_named() -> None:
    loud = setting((1,), 0.5, 0.5)
    study = make_study()
    rows = simulate(study, [loud, SAME], lambda cell: -0.3 * (cell == loud), noise=0.02)
    rows += simulate(study, [loud, SAME], lambda cell: -0.3 * (cell == loud), "confirm", range(100, 105), noise=0.02)
    guide = assemble_guide(make_record(study, rows))
    assert guide.verdict.headline.startswith("Block 1, lambda 0.5, tau 0.5 ◦ helps")
    assert any(point.startswith("Use block 1, lambda 0.5, tau 0.5 ◦;") for point in guide.verdict.points)


def test_covariance_has_no_tau_to_be_compared() -> None:
    study = make_study(
        space={"block": [0, 1], "lambda": [0.01], "tau": [0.5], "variant": ["l2", "covariance"]}, confirm=None
    )
    cells = list(planned_cells(study))[1:]

    def effect(cell: Cell) -> float:
        return 0.5 * (cell.dispersion.variant == "covariance")

    guide = assemble_guide(make_record(study, simulate(study, cells, effect, noise=0.01)))
    found = {(knob.name, level.level): level.reach for knob in guide.knobs for level in knob.levels}
    assert found["variant", "covariance"] == "beyond the margin"
    assert not any(name == "tau" for name, _ in found)
    assert guide.interaction.reason == "the unsaturated settings do not vary both block and tau"
