"""What a finished confirm stage may say: claims, the recommended set, controls; from records whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.guide.schema.statements import Claim
from sweeper.records import BASELINE_KEY, Cell, StudyRecord, TrialRecord
from sweeper.study import Study
from tests.sweeper.guide.study_records import control, grid_cells, make_record, make_study, setting, simulate

GOOD, SAME, BAD = setting((1,), 0.01, 0.5), setting((2,), 0.01, 0.5), setting((3,), 0.01, 0.5)
Effect = Callable[[Cell], float]


def effects(**by_name: float) -> Effect:
    known = {GOOD.key: by_name.get("good", 0.0), SAME.key: by_name.get("same", 0.0), BAD.key: by_name.get("bad", 0.0)}
    return lambda cell: known.get(cell.key, by_name.get("control", 0.0))


def confirmed(
    effect: Effect,
    noise: float = 0.02,
    cells: tuple[Cell, ...] = (GOOD, SAME, BAD),
    fresh: int = 5,
    random: int = 0,
    study: Study | None = None,
) -> StudyRecord:
    """A screen on three seeds and a confirm stage of all its cells on fresh ones."""
    study = study or make_study()
    rows = simulate(study, cells, effect, noise=noise, random=random)
    rows += simulate(study, cells, effect, "confirm", range(100, 100 + fresh), noise=noise, random=random + 1)
    return make_record(study, rows)


def claim(guide: Guide, cell: Cell) -> Claim:
    return next(one for one in guide.claims if one.key == cell.key)


def test_words_follow_evidence() -> None:
    guide = assemble_guide(confirmed(effects(good=-0.3, bad=0.3), noise=0.003))
    assert claim(guide, GOOD).standing == "confirmed helps"
    assert claim(guide, BAD).standing == "confirmed hurts"
    assert claim(guide, SAME).standing == "equivalent"
    noisy = assemble_guide(confirmed(effects(), noise=0.1))
    assert {one.standing for one in noisy.claims} <= {"no evidence either way", "suggestive"}


def test_a_claim_is_the_one_sided_paired_t_test_on_log_scores_with_holm_and_bonferroni_intervals() -> None:
    study = make_study()
    rows = simulate(study, (GOOD, SAME, BAD), effects(good=-0.05), seeds=(0,), noise=0.04)  # says nothing about noise
    rows += simulate(study, (GOOD, SAME, BAD), effects(good=-0.05), "confirm", range(100, 105), noise=0.04, random=1)
    record = make_record(study, rows)
    fids: dict[str, list[float]] = {}
    for one in record.trials:
        if one.spec.stage == "confirm":
            fids.setdefault(one.spec.cell.key, []).append(one.rungs[-1].metrics["fid_10k"])
    raw = {}
    for cell in (GOOD, SAME, BAD):
        made = claim(assemble_guide(record), cell)
        side = "less" if made.direction == "lower" else "greater"
        tested = ttest_rel(np.log(fids[cell.key]), np.log(fids["baseline"]), alternative=side)
        raw[cell.key] = float(tested.pvalue)
        difference = np.log(fids[cell.key]) - np.log(fids["baseline"])
        reach = t.ppf(1 - 0.05 / 3 / 2, 4) * difference.std(ddof=1) / math.sqrt(5)
        assert made.change is not None
        assert made.change.mean == pytest.approx(math.expm1(difference.mean()))
        assert made.change.high == pytest.approx(math.expm1(difference.mean() + reach))
    first = min(raw, key=lambda key: raw[key])
    assert next(one for one in assemble_guide(record).claims if one.key == first).p == pytest.approx(
        min(1, 3 * raw[first])
    )


def test_the_screen_chooses_the_direction_and_the_fresh_seeds_decide() -> None:
    study = make_study()
    rows = simulate(study, [GOOD], effects(good=-0.2), noise=0.01)
    rows += simulate(study, [GOOD], effects(good=+0.2), "confirm", range(100, 105), noise=0.01)
    made = claim(assemble_guide(make_record(study, rows)), GOOD)
    assert made.direction == "lower"
    assert made.standing == "suggestive"
    assert made.change is not None
    assert made.change.mean > 0


@pytest.mark.parametrize("missing", ["a seed", "a trial", "an end"])
def test_nothing_is_claimed_before_the_confirm_stage_is_finished(missing: str) -> None:
    record = confirmed(effects(good=-0.5))
    fresh = [one for one in record.trials if one.spec.stage == "confirm"]
    last = fresh[-1]
    dropped = {"a seed": lambda one: one.spec.seed == 104, "a trial": lambda one: one is last}.get(missing)
    kept: list[TrialRecord] = [
        one for one in record.trials if one.spec.stage == "screen" or not (dropped and dropped(one))
    ]
    if missing == "an end":
        kept[-1] = last.model_copy(update={"state": "running"})
    guide = assemble_guide(make_record(record.study, kept))
    assert guide.claims == ()
    assert guide.verdict.kind == "confirming"
    assert "no claim yet" in guide.verdict.headline


def test_an_arm_that_diverged_on_a_fresh_seed_is_not_comparable_but_stays_possible() -> None:
    record = confirmed(effects(good=-0.3), noise=0.01)
    trials = [
        one.model_copy(update={"state": "diverged"}) if one.spec.key == f"confirm.{GOOD.key}.102" else one
        for one in record.trials
    ]
    guide = assemble_guide(make_record(record.study, trials))
    assert claim(guide, GOOD).standing == "not comparable"
    assert claim(guide, GOOD).reason == "1 of 5 fresh seeds diverged or failed"
    assert guide.recommendation is not None
    assert GOOD.key in guide.recommendation.members


def test_more_seeds_than_planned_are_welcome() -> None:
    assert assemble_guide(confirmed(effects(good=-0.3), fresh=7)).claims


def test_seeds_chosen_by_noise_must_all_be_there() -> None:
    study = make_study(confirm={"top": 3, "seeds": "auto", "limit": 12})
    few, enough = (assemble_guide(confirmed(effects(), noise=0.1, fresh=n, study=study)) for n in (5, 12))
    assert few.seeds.planned == 12
    assert (bool(few.claims), bool(enough.claims)) == (False, True)


def test_a_control_that_does_as_well_is_told_in_the_headline() -> None:
    study = make_study(controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}])
    cells = (control(), GOOD, SAME)
    same = assemble_guide(confirmed(effects(good=-0.3, control=-0.3), cells=cells, study=study))
    assert same.verdict.kind == "helps like a control"
    assert "not shown to be better than a plain control, weight-decay" in same.verdict.headline
    worse = assemble_guide(confirmed(effects(good=-0.3, control=0.0), cells=cells, study=study))
    assert worse.verdict.kind == "helps"
    assert worse.controls[0].better


def with_recall(record: StudyRecord, factor: float) -> StudyRecord:
    """The record with the recall of BAD so many times as high."""

    def changed(metrics: Mapping[str, float]) -> dict[str, float]:
        return {name: value * (factor if name == "recall_10k" else 1.0) for name, value in metrics.items()}

    trials = [
        one.model_copy(
            update={"rungs": tuple(rung.model_copy(update={"metrics": changed(rung.metrics)}) for rung in one.rungs)}
        )
        if one.spec.cell.key == BAD.key
        else one
        for one in record.trials
    ]
    return make_record(record.study, trials)


def test_other_outcomes_share_a_chance_of_their_own() -> None:
    guide = assemble_guide(with_recall(confirmed(effects(), noise=0.05), 0.5))
    hurt = [one for one in guide.side_claims if one.standing == "confirmed hurts"]
    assert [(one.key, one.metric) for one in hurt] == [(BAD.key, "recall_10k")]
    assert any("recall-10K" in point and "confirmed lower" in point for point in guide.verdict.sentences)


@pytest.mark.parametrize(("fresh", "is_confirmed"), [(18, False), (24, True)])
def test_harm_in_another_outcome_waits_until_a_bad_run_of_lambda_0_would_have_shown_in_each(fresh, is_confirmed):
    """Three outcomes are tested, so 26 runs of lambda 0 are needed, of which the screen has three."""
    study = make_study()
    assert study.confirm
    strict = study.model_copy(update={"confirm": study.confirm.model_copy(update={"margin": 0.002})})
    record = confirmed(effects(), noise=0.05, fresh=fresh, study=strict)
    guide = assemble_guide(with_recall(record, math.exp(-0.02)))
    claim = next(one for one in guide.side_claims if (one.key, one.metric) == (BAD.key, "recall_10k"))
    assert claim.change is not None
    assert claim.change.high is not None
    assert claim.change.high < 0
    assert (claim.standing == "confirmed hurts") == is_confirmed


def test_the_recommended_set_holds_what_is_not_shown_worse_simplest_first() -> None:
    guide = assemble_guide(confirmed(effects(bad=1.0), noise=0.02))
    assert guide.recommendation is not None
    assert guide.recommendation.members[0] == "baseline"
    assert set(guide.recommendation.members) == {"baseline", GOOD.key, SAME.key}
    assert (guide.recommendation.first, guide.recommendation.why) == ("baseline", "default")
    assert not guide.recommendation.unique


@pytest.mark.parametrize("tau", [0.25, 0.5, 1.0, 2.0])
def test_of_two_settings_the_usual_one_is_simpler(tau: float) -> None:
    usual = setting((1,), 0.01, tau)
    part = usual.model_copy(update={"dispersion": usual.dispersion.model_copy(update={"local_batch": 16})})
    rows = simulate(make_study(), [part, usual], lambda _: 0.0, noise=0.02)
    recommended = assemble_guide(make_record(make_study(), rows)).recommendation
    assert recommended is not None
    assert recommended.members == ("baseline", usual.key, part.key)


def test_a_single_best_is_named_when_everything_else_is_shown_worse() -> None:
    guide = assemble_guide(confirmed(effects(good=-1.0), noise=0.02))
    assert guide.recommendation is not None
    assert guide.recommendation.members == (GOOD.key,)
    assert guide.recommendation.unique
    assert "Single best" in " ".join(guide.verdict.sentences)


def test_a_stopped_or_audited_setting_is_never_recommended() -> None:
    study = make_study()
    rows = simulate(study, [GOOD, SAME, BAD], effects(good=-1.0), noise=0.02, stopped=lambda cell: cell == GOOD)
    rows = [one.model_copy(update={"audited": True}) if one.spec.cell == SAME else one for one in rows]
    chosen = assemble_guide(make_record(study, rows)).recommendation
    assert chosen is not None
    assert not {GOOD.key, SAME.key} & set(chosen.members)
    assert chosen.stopped == 2


def test_a_gain_of_the_margin_that_is_likely_but_not_confirmed_is_called_a_bet() -> None:
    guide = assemble_guide(confirmed(effects(good=-0.12), noise=0.08, random=17))
    assert claim(guide, GOOD).standing == "suggestive"
    assert guide.recommendation is not None
    assert (guide.recommendation.first, guide.recommendation.why) == (GOOD.key, "bet")
    assert any("pick a setting anyway" in point for point in guide.verdict.sentences)


def test_a_low_mean_that_chance_explains_is_no_bet() -> None:
    guide = assemble_guide(confirmed(effects(good=-0.12), noise=0.15, random=8))
    found = claim(guide, GOOD)
    assert found.change
    assert found.change.mean < -0.05
    assert found.p
    assert found.p > 0.1
    assert guide.recommendation is not None
    assert (guide.recommendation.first, guide.recommendation.why) == (BASELINE_KEY, "default")
    assert not any("pick a setting anyway" in point for point in guide.verdict.sentences)


def test_identical_runs_are_equivalent_and_never_confirmed() -> None:
    """Lambda so small that every run is the baseline's bit for bit."""
    study, cells = make_study(), (GOOD, SAME)
    rows = simulate(study, cells, effects(), noise=0.0) + simulate(
        study, cells, effects(), "confirm", range(100, 105), noise=0.0
    )
    guide = assemble_guide(make_record(study, rows))
    assert {one.standing for one in guide.claims} == {"equivalent"}
    assert guide.verdict.kind == "equivalent"


def test_an_interaction_forbids_a_best_tau() -> None:
    study = make_study(space={"block": [0, 1, 2], "lambda": [0.01], "tau": [0.25, 0.5, 1.0]})
    crossed = {(0, 0.25): -0.5, (1, 0.5): -0.5, (2, 1.0): -0.5}

    def effect(cell: Cell) -> float:
        return crossed.get((cell.dispersion.blocks[0], cell.dispersion.tau), 0.0)

    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), effect, noise=0.03)))
    assert guide.interaction.rejects
    assert {knob.name for knob in guide.knobs} == set()
    assert any("the best tau depends on the block" in rule.rule for rule in guide.rules)


def test_without_one_the_levels_of_a_knob_are_compared() -> None:
    study = make_study(space={"block": [0, 1, 2], "lambda": [0.01], "tau": [0.25, 0.5, 1.0]})

    def effect(cell: Cell) -> float:
        return 0.4 * (cell.dispersion.tau == 1.0)

    # A draw of noise in which the test rightly sees nothing: in one of twenty it sees an interaction.
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), effect, noise=0.01, random=1)))
    assert not guide.interaction.rejects
    found = {(knob.name, level.level): level.reach for knob in guide.knobs for level in knob.levels}
    assert found["tau", "1"] == "beyond the margin"
    assert {found["block", level] for level in "012"} == {"lowest", "within the margin"}


def test_saturated_settings_are_no_evidence_about_block_and_tau() -> None:
    study = make_study(space={"block": [0, 1], "lambda": [0.5], "tau": [0.25, 0.5]})
    guide = assemble_guide(make_record(study, simulate(study, grid_cells(study), lambda cell: cell.dispersion.tau)))
    assert guide.interaction.reason == "every setting that finished on every seed is saturated"
    assert guide.knobs == ()
