"""A guide whose study judges by another metric than FID: tables, claims and words go by it, and FID stands beside."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.compare.transfer import transfer
from sweeper.guide.schema.guide import Guide
from sweeper.records import Cell, Rung, TrialRecord
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import control, make_record, make_study, setting, simulate

CELLS = (setting((1,), 0.01, 0.5), setting((1,), 0.25, 0.5))
GAINS = {"block 1, lambda 0.25, tau 0.5": 0.06, "weight-decay": 0.18}


def guide_of(name: str, metric: Callable[[Cell, float], float], evaluation: dict[str, object] | None = None) -> Guide:
    """A guide to a study judged by a metric, of cells and noise; FID is the same for all, but for its own noise."""
    study = make_study(
        objective=name,
        recipe={"eval": evaluation or {}},
        space={"block": [1], "lambda": [0.01, 0.25], "tau": [0.5]},
        controls=[{"name": "weight-decay", "set": {"train.weight_decay": 0.5}}],
        confirm={"top": 2, "seeds": 8},
    )
    recorded = study.minimised.recorded()
    random = np.random.default_rng(3)

    def put(one: TrialRecord) -> TrialRecord:
        cell, noise = one.spec.cell, random.normal(0, 0.004)
        rungs = [Rung(step=r.step, metrics=r.metrics | {recorded: metric(cell, noise)}) for r in one.rungs]
        return one.model_copy(update={"rungs": tuple(rungs)})

    arms = (control("weight-decay"), *CELLS)
    trials = simulate(study, arms, lambda _: 0.0, seeds=range(2))
    trials += simulate(study, arms, lambda _: 0.0, "confirm", range(100, 108))
    return assemble_guide(make_record(study, map(put, trials)))


@pytest.fixture(scope="module")
def by_loss() -> Guide:
    return guide_of("val_loss", lambda cell, noise: 0.6 * math.exp(noise - GAINS.get(cell.label, 0.0)))


@pytest.fixture(scope="module")
def by_recall() -> Guide:
    return guide_of("recall", lambda cell, noise: 0.4 * math.exp(noise + GAINS.get(cell.label, 0.0)))


def test_claims_are_about_the_objective_and_fid_is_an_outcome_beside(by_loss: Guide) -> None:
    assert {claim.metric for claim in by_loss.claims} == {"val_loss"}
    beside = {claim.metric for claim in by_loss.side_claims}
    assert {"fid_10k", "recall_10k"} <= beside
    assert "val_loss" not in {claim.metric for claim in by_loss.side_claims if claim.label != "weight-decay"}
    columns = [one.metric for one in by_loss.outcomes[0].outcomes]
    assert "fid_10k" in columns
    assert "val_loss" not in columns


def test_the_verdict_and_the_protocol_say_that_it_is_not_fid(by_loss: Guide) -> None:
    said = next(point for point in by_loss.verdict.points if point.startswith("Judged by validation loss, not by FID"))
    assert "how well the model predicts images it has never seen" in said
    assert "rewards copies of training images" in said
    assert "FID-10K of block 1, lambda 0.25, tau 0.5 ◦: " in said
    protocol = {item.name: item.value for item in by_loss.protocol}
    assert said.startswith(f"Judged by {protocol['judged by']}")
    assert protocol["every rung"].startswith("validation loss on up to")
    text = render_markdown(by_loss, {})
    assert "**validation loss**: how well the model predicts images it has never seen; lower is better" in text
    assert "FID, recall, copying, CFG" in text
    assert "here: change of validation loss to the baseline" in text


def test_a_control_that_gains_more_leads_beside_the_setting_that_helps(by_loss: Guide) -> None:
    assert by_loss.verdict.kind == "helps like a control"
    assert by_loss.verdict.headline.startswith("Block 1, lambda 0.25, tau 0.5 ◦ helps: validation loss -")
    assert by_loss.verdict.headline.endswith("but a plain control, weight-decay, gains 2.9 times as much.")
    said = "Use the plain control weight-decay, which gains 2.9 times as much as block 1, lambda 0.25, tau 0.5 ◦; "
    assert any(point.startswith(said) for point in by_loss.verdict.points)
    first, anyway = by_loss.rules[:2]
    assert first.evidence.startswith("-16")
    assert anyway.rule.startswith("If it has to be dispersion, use block 1, lambda 0.25, tau 0.5 ◦")
    assert not any("weight-decay helps as well" in rule.rule for rule in by_loss.rules)
    line = next(point for point in by_loss.verdict.notes if point.startswith("Plain control weight-decay: -16"))
    assert "*confirmed helps*; compared with it, block 1, lambda 0.25, tau 0.5 is +12" in line
    assert line.endswith("worse.")
    assert by_loss.controls[0].times == pytest.approx(3, rel=0.1)
    assert "For those who want dispersion anyway: a control without it gains more." in render_markdown(by_loss, {})


def test_a_metric_that_is_better_higher_helps_where_it_rises(by_recall: Guide, by_loss: Guide) -> None:
    assert by_recall.objective == "1/recall_10k"
    standings = [claim.standing for claim in by_recall.claims]
    assert standings == [claim.standing for claim in by_loss.claims]
    found = next(claim for claim in by_recall.claims if claim.standing == "confirmed helps")
    assert found.change is not None
    assert found.change.mean == pytest.approx(math.expm1(-0.06), abs=0.01)
    assert by_recall.main.baseline is not None
    assert by_recall.main.baseline.mean == pytest.approx(1 / 0.4, rel=0.02)
    text = render_markdown(by_recall, {})
    assert "**1/recall-10K**: the inverse of what shows how much of the data's variety samples have" in text
    assert "higher is better, so its inverse, 1/recall-10K, is compared: 10 % lower is 11 % more" in text


def test_a_metric_that_is_minimised_by_its_inverse_is_shown_as_it_is_and_not_claimed_twice(by_recall: Guide) -> None:
    assert "recall_10k" in [one.metric for one in by_recall.outcomes[0].outcomes]
    assert "recall_10k" not in {claim.metric for claim in by_recall.side_claims}


def test_studies_that_judge_by_different_metrics_transfer_nothing(by_loss: Guide) -> None:
    other = guide_of("fid", lambda _, noise: 12 * math.exp(noise), {"samples": 10_000, "cfg": 1.5})
    found = transfer(by_loss, other)
    assert found.headline == "No transfer claim: A judges by validation loss and B by FID-10K."
    assert not any(one.verdict for one in found.matches)
    assert "validation loss and FID-10K are different metrics" in found.incomparable


def test_the_full_fid_is_no_check_of_another_metric(by_loss: Guide) -> None:
    assert by_loss.proxy.gate.says == "the full metric is a FID, and this study judges by another metric"
    assert by_loss.seeds.sampling_sd is None


def test_a_control_that_gains_twice_as_much_is_said_to_gain_twice_as_much() -> None:
    gains = GAINS | {"weight-decay": 0.124}
    guide = guide_of("val_loss", lambda cell, noise: 0.6 * math.exp(noise - gains.get(cell.label, 0.0)))
    assert guide.verdict.headline.endswith("but a plain control, weight-decay, gains twice as much.")
