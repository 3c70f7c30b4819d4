"""The front of a study with several objectives: who is on it, what is sure, and what its guide says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.front import Front, FrontChange, FrontRow
from sweeper.guide.schema.guide import Guide
from sweeper.records import Cell, Stage, StudyRecord, TrialRecord
from sweeper.render.figures.plots import draw
from sweeper.render.markdown import render_markdown
from tests.sweeper.guide.study_records import control, make_record, make_study, setting, simulate

FIDELITY, VARIETY, BOTH, NEITHER = CELLS = tuple(setting((block,), 0.01, 0.5) for block in range(4))
SMALL = control("small", **{"model.width": 32})
# Log ratios of FID and of recall to lambda 0, and what training costs beside it.
TRUTH: Mapping[str, tuple[float, float, float]] = {
    FIDELITY.label: (-0.3, -0.3, 1.0),
    VARIETY.label: (0.3, 0.3, 1.02),
    BOTH.label: (-0.1, 0.1, 1.0),
    NEITHER.label: (0.5, -0.5, 1.0),
    SMALL.label: (0.6, -0.6, 0.5),
}


def put(one: TrialRecord) -> TrialRecord:
    """Give a trial the recall and the training time of its cell."""
    _, recall, cost = TRUTH.get(one.spec.cell.label, (0.0, 0.0, 1.0))
    last = one.rungs[-1]
    noise = last.metrics["recall_10k"] - 0.6
    known = last.metrics | {"recall_10k": 0.4 * 2.718281828**recall + 0.1 * noise, "train_flops": 2e12 * cost}
    return one.model_copy(update={"rungs": (*one.rungs[:-1], last.model_copy(update={"metrics": known}))})


def record(stages: tuple[Stage, ...] = ("screen", "confirm"), **changes: object) -> StudyRecord:
    study = make_study(
        space={"block": [0, 1, 2, 3], "lambda": [0.01], "tau": [0.5]},
        controls=[{"name": "small", "set": {"model.width": 32}}],
        confirm={"top": 4, "seeds": 8},
        **({"second_objectives": ["recall", "cost"]} | changes),
    )
    trials: list[TrialRecord] = []
    for stage in stages:
        seeds = range(3) if stage == "screen" else range(100, 108)

        def effect(cell: Cell) -> float:
            return TRUTH[cell.label][0]

        trials += map(put, simulate(study, (SMALL, *CELLS), effect, stage, seeds, noise=0.01))
    return make_record(study, trials)


@pytest.fixture(scope="module")
def guide() -> Guide:
    return assemble_guide(record())


def front(guide: Guide) -> Front:
    assert guide.front is not None
    return guide.front


def fresh(guide: Guide) -> dict[str, FrontRow]:
    return {row.label: row for row in front(guide).rows if row.stage == "confirm"}


def test_means_decide_who_is_on_the_front(guide: Guide) -> None:
    rows = fresh(guide)
    free = {label for label, row in rows.items() if row.free}
    # The small model is the cheapest; lambda 0 is worse than BOTH in each metric, and costs as much.
    assert free == {FIDELITY.label, VARIETY.label, BOTH.label, SMALL.label}
    assert len(rows) == 6


def test_what_is_sure_follows_from_the_claims_alone(guide: Guide) -> None:
    sure = {label: row.sure for label, row in fresh(guide).items()}
    assert sure[BOTH.label] == "better"
    assert sure[FIDELITY.label] == sure[VARIETY.label] == "a trade"
    assert sure[NEITHER.label] == "dominated"
    assert sure[SMALL.label] == "a trade"  # it is worse, and half the price
    assert sure["baseline (lambda 0)"] is None


def test_changes_are_those_of_the_claims(guide: Guide) -> None:
    claims = {(claim.key, claim.metric): claim for claim in (*guide.claims, *guide.side_claims)}
    metrics = [one.metric for one in front(guide).objectives]
    assert metrics == ["fid_10k", "recall_10k", "train_flops"]
    for row in fresh(guide).values():
        for metric, own in zip(metrics, row.changes, strict=True):
            claim = claims.get((row.key, metric))
            assert own.standing == (claim.standing if claim else None)
            assert not claim or own.change == claim.change
    assert len(claims) == len({(claim.key, claim.metric) for claim in (*guide.claims, *guide.side_claims)})


def test_no_claim_is_made_about_a_control_in_a_second_objective_or_about_cost(guide: Guide) -> None:
    fid, recall, cost = fresh(guide)[SMALL.label].changes
    assert fid.standing == "confirmed hurts"
    assert recall.standing is cost.standing is None
    assert recall.change is not None
    assert recall.change.low is None
    assert cost == FrontChange(change=cost.change)
    assert cost.change is not None
    assert cost.change.mean == -0.5


def test_a_time_is_shown_and_is_no_evidence_for_an_arm() -> None:
    whole = record()

    def timed(one: TrialRecord) -> TrialRecord:
        last = one.rungs[-1]
        cost = last.metrics["train_flops"] / 2e12
        known = {name: value for name, value in last.metrics.items() if name != "train_flops"} | {"train_s": 20 * cost}
        return one.model_copy(update={"rungs": (*one.rungs[:-1], last.model_copy(update={"metrics": known}))})

    guide = assemble_guide(whole.model_copy(update={"trials": tuple(map(timed, whole.trials))}))
    assert [one.metric for one in front(guide).objectives] == ["fid_10k", "recall_10k", "train_s"]
    small = fresh(guide)[SMALL.label]
    assert small.free
    assert small.sure == "worse in one"  # nobody made a claim about its recall
    text = render_markdown(guide, {})
    assert "| 20.0 s " in text
    assert "other load on the machine moves them" in text


def test_of_the_screen_the_non_dominated_are_listed_and_claim_nothing(guide: Guide) -> None:
    screen = [row for row in front(guide).rows if row.stage == "screen"]
    assert {row.label for row in screen} == {FIDELITY.label, VARIETY.label, BOTH.label, SMALL.label}
    assert all(row.free and row.sure is None for row in screen)
    assert all(own.standing is None for row in screen for own in row.changes)


def test_the_verdict_names_the_front_in_one_sentence_and_the_table_says_what_is_sure(guide: Guide) -> None:
    (said,) = (one for one in guide.verdict.sentences if one.startswith("Between "))
    assert said.startswith("Between FID-10K, recall-10K and training FLOPs, no arm beats these in everything")
    assert "on fresh seeds" in said
    assert f"confirmed better than lambda 0 in one, and in none confirmed worse: {BOTH.label}" in said
    assert f"dominated by lambda 0, by claims: {NEITHER.label}" in said
    assert len(guide.verdict.points) <= 4
    text = render_markdown(guide, {})
    assert "Several objectives (FID-10K, recall-10K, training FLOPs)" in text
    assert "| 2.00 TFLOP " in text
    assert "operations are counted" in text
    assert "| x 0.50 " in text
    assert "dominated: confirmed worse in one, worse or equivalent in the others" in text
    assert "screening, no claim" in text


def test_a_picture_shows_the_front_where_there_is_one(guide: Guide, tmp_path: Path) -> None:
    plots = draw(guide, tmp_path, None)
    assert plots["front"].title == "Several objectives, fresh seeds"
    assert "blue: confirmed better" in plots["front"].note
    assert (tmp_path / "front.png").is_file()
    drawn = (tmp_path / "front.svg").read_text()
    assert "change of recall-10K to lambda 0, %" in drawn
    assert "(higher is better)" in drawn
    assert "![Several objectives, fresh seeds](front.png)" in render_markdown(guide, plots)
    screen = draw(assemble_guide(record(("screen",))), tmp_path, None)["front"]
    assert "screening, no claim" in screen.note
    assert "front" not in draw(assemble_guide(record(second_objectives=[])), tmp_path, None)
    assert not list(tmp_path.glob("front.*"))


def test_a_screen_alone_says_that_it_claims_nothing() -> None:
    guide = assemble_guide(record(("screen",)))
    assert {row.stage for row in front(guide).rows} == {"screen"}
    assert "baseline" in {row.key for row in front(guide).rows}
    (said,) = (one for one in guide.verdict.sentences if one.startswith("Between "))
    assert "in the screen, which claims nothing" in said


def test_an_unfinished_confirm_stage_judges_nobody() -> None:
    whole = record()
    guide = assemble_guide(whole.model_copy(update={"trials": whole.trials[:-1]}))
    assert {row.stage for row in front(guide).rows} == {"screen"}


def test_an_arm_that_lacks_a_metric_is_not_compared() -> None:
    whole = record()

    def without(one: TrialRecord) -> TrialRecord:
        if one.spec.cell.key != BOTH.key:
            return one
        last = one.rungs[-1]
        known = {name: value for name, value in last.metrics.items() if name != "recall_10k"}
        return one.model_copy(update={"rungs": (*one.rungs[:-1], last.model_copy(update={"metrics": known}))})

    guide = assemble_guide(whole.model_copy(update={"trials": tuple(map(without, whole.trials))}))
    assert fresh(guide)[BOTH.label].free is None
    assert fresh(guide)["baseline (lambda 0)"].free
    assert "not compared" in render_markdown(guide, {})


def test_a_study_with_one_objective_has_no_front_and_no_sentence() -> None:
    guide = assemble_guide(record(second_objectives=[]))
    assert guide.front is None
    assert not [one for one in guide.verdict.sentences if one.startswith("Between ")]
    assert "Several objectives" not in render_markdown(guide, {})


def test_a_metric_that_is_only_shown_elsewhere_is_claimed_where_it_is_an_objective() -> None:
    guide = assemble_guide(record(second_objectives=["precision"]))
    assert {claim.metric for claim in guide.side_claims} > {"precision_10k"}
    assert "precision_10k" not in {claim.metric for claim in assemble_guide(record()).side_claims}
