"""Two studies of one recipe meet on the fresh seeds that both have, and only there."""

import math

import pytest
from scipy.stats import t as student

from sweeper.coordinator.input_hashes import InputHashes
from sweeper.guide.compare.head_to_head import paired
from sweeper.guide.schema.results import Change
from sweeper.records import INPUTS, Facts, StudyRecord, TrialRecord
from tests.sweeper.guide.compare.two_studies import LARGE, Effect, helps, hurts, record, rival
from tests.sweeper.guide.study_records import control, setting


def strength(gain: float) -> Effect:
    return lambda cell: -gain if cell.role == "grid" else 0.0


BLOCK_2 = (setting((2,), 0.01, 0.5),)


def test_the_better_first_choice_wins_on_the_shared_fresh_seeds():
    weak, strong = record(strength(0.3)), record(strength(0.7), cells=BLOCK_2, random=0)
    met = paired(rival(weak), rival(strong))
    assert met.seeds == (100, 101, 102, 103, 104)
    assert [pair.winner for pair in met.pairs if pair.firsts] == ["b"]
    assert met.headline.startswith("B's first choice, block 2, lambda 0.01, tau 0.5, is confirmed better than A's")
    turned = paired(rival(strong), rival(weak))
    assert turned.headline.startswith("A's first choice, block 2")
    assert turned.pairs[0].change.mean == pytest.approx(1 / (1 + met.pairs[0].change.mean) - 1)


def test_equally_good_first_choices_are_not_told_apart_or_called_equivalent_by_their_spread():
    noisy = record(strength(0.5), noise=0.1), record(strength(0.5), cells=BLOCK_2, noise=0.1, random=5)
    assert "cannot be distinguished" in paired(*map(rival, noisy)).headline
    exact = record(strength(0.5), noise=0.002), record(strength(0.5), cells=BLOCK_2, noise=0.002, random=5)
    assert "are equivalent within 5 %" in paired(*map(rival, exact)).headline


def scaled(of: StudyRecord, factor: float) -> StudyRecord:
    def louder(trial: TrialRecord) -> TrialRecord:
        rungs = tuple(
            rung.model_copy(update={"metrics": {**rung.metrics, "fid_10k": factor * rung.metrics["fid_10k"]}})
            for rung in trial.rungs
        )
        return trial.model_copy(update={"rungs": rungs})

    return of.model_copy(update={"trials": tuple(map(louder, of.trials))})


def test_a_machine_that_shifts_all_figures_alike_changes_no_result_and_is_told():
    one, two = record(strength(0.3)), record(strength(0.7), cells=BLOCK_2)
    met, shifted = paired(rival(one), rival(two)), paired(rival(one), rival(scaled(two, 1.3)))
    assert shifted.pairs[0].change.mean == pytest.approx(met.pairs[0].change.mean)
    assert met.baseline_gap == pytest.approx(0.0, abs=1e-9)
    assert shifted.baseline_gap == pytest.approx(0.3)


def test_intervals_hold_together_over_all_pairs():
    one, two = record(strength(0.3)), record(strength(0.3), cells=BLOCK_2, random=5)
    more = record(strength(0.3), cells=tuple(setting((block,), 0.01, 1.0) for block in range(2)), random=7)
    more_arms = tuple(trial for trial in more.trials if trial.spec.cell.role == "grid")
    among = paired(rival(one), rival(two.model_copy(update={"trials": (*two.trials, *more_arms)})))
    alone = paired(rival(one), rival(two))
    assert (len(alone.pairs), len(among.pairs)) == (1, 3)
    same = next(pair.change for pair in among.pairs if pair.b == alone.pairs[0].b)
    assert same.mean == alone.pairs[0].change.mean
    wider = width(same) / width(alone.pairs[0].change)
    assert wider == pytest.approx(student.ppf(1 - 0.025 / 3, 4) / student.ppf(1 - 0.025, 4))


def width(change: Change) -> float:
    assert change.low is not None
    assert change.high is not None
    return math.log1p(change.high) - math.log1p(change.low)


def test_the_same_first_choice_or_lambda_0_is_no_contest():
    assert "both studies take block 1" in paired(rival(record(helps)), rival(record(helps, random=3))).headline
    none = paired(rival(record(hurts)), rival(record(helps, cells=BLOCK_2)))
    assert "A takes lambda 0 first, so B's claim" in none.headline


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (lambda: record(helps, LARGE), "recipes differ"),
        (lambda: record(helps, fresh=range(300, 305)), "fewer than two fresh seeds"),
        (lambda: record(helps, fresh=range(104, 109)), "fewer than two fresh seeds"),
    ],
)
def test_what_cannot_be_paired_is_refused_with_the_reason(other, why):
    met = paired(rival(record(helps)), rival(other()))
    assert why in met.reason
    assert not met.pairs
    assert "No claim which study found the better setting" in met.headline


def with_inputs(of: StudyRecord, role: str = "grid", **hashes: str) -> StudyRecord:
    def moved(trial: TrialRecord) -> TrialRecord:
        assert trial.facts
        is_meant = trial.spec.cell.role == "control" if role == "control" else trial.spec.cell.role != "control"
        return trial.model_copy(update={"facts": trial.facts.model_copy(update=hashes)}) if is_meant else trial

    return of.model_copy(update={"trials": tuple(map(moved, of.trials))})


@pytest.mark.parametrize(("field", "words"), INPUTS.items())
def test_studies_that_read_other_inputs_under_the_same_names_are_not_paired(field, words):
    one, other = record(helps), record(helps, cells=BLOCK_2)
    assert paired(rival(one), rival(with_inputs(other, **{field: "00"}))).reason == f"their {words} differ"


def test_every_hash_among_a_trials_facts_is_an_input_that_is_compared():
    hashes = {name for name in Facts.model_fields if name.endswith(("_hash", "_sha256"))}
    assert {*INPUTS} == {*InputHashes.model_fields} == hashes


def test_an_arm_that_both_studies_have_must_have_been_aligned_with_the_same_encoder():
    repa = control("repa", **{"train.repa.lambda": 0.5})
    one, other = record(helps, cells=(*BLOCK_2, repa)), record(hurts, cells=(*BLOCK_2, repa))
    same = [with_inputs(each, "control", encoder_sha256="ab") for each in (one, other)]
    assert not paired(*map(rival, same)).reason
    met = paired(rival(same[0]), rival(with_inputs(other, "control", encoder_sha256="cd")))
    assert met.reason == "their REPA encoders differ in repa"


def test_an_arm_of_fewer_images_is_no_obstacle():
    few = control("few", **{"data.limit": 100})
    both = [with_inputs(record(helps, cells=(*BLOCK_2, few)), "control", data_hash="ab") for _ in range(2)]
    assert not paired(*map(rival, both)).reason


def test_an_unfinished_confirm_stage_is_not_looked_at():
    whole = record(helps, cells=BLOCK_2)
    half = whole.model_copy(update={"trials": whole.trials[:-2]})
    met = paired(rival(record(helps)), rival(half))
    assert met.reason == "B has no finished confirm stage"
