"""Sentences that keep a reader from concluding too much."""

from __future__ import annotations

import pytest

from sweeper.commands.report import read_record
from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
from tests.places import ROOT
from tests.sweeper.guide.study_records import grid_cells, make_record, make_study, simulate


def guide_of(precision: float, coverage: float) -> Guide:
    study = make_study()
    record = make_record(study, simulate(study, grid_cells(study), lambda _: 0.0))
    return assemble_guide(_with(record, {"precision_10k": precision, "coverage_10k": coverage}), surface=False)


def _with(record: StudyRecord, metrics: dict[str, float]) -> StudyRecord:
    trials = tuple(
        trial.model_copy(
            update={
                "rungs": tuple(rung.model_copy(update={"metrics": {**rung.metrics, **metrics}}) for rung in trial.rungs)
            }
        )
        for trial in record.trials
    )
    return record.model_copy(update={"trials": trials})


@pytest.mark.parametrize(
    ("precision", "coverage", "says"),
    [
        (0.07, 0.11, "7 % of its samples look like data, they cover 11 % of the training images"),
        (0.07, 0.90, "7 % of its samples look like data"),
        (0.30, 0.11, "they cover 11 % of the training images"),
    ],
)
def test_a_baseline_that_draws_poorly_is_said_in_the_verdict(precision: float, coverage: float, says: str) -> None:
    warned = [point for point in guide_of(precision, coverage).verdict.points if "draws poorly" in point]
    assert warned == [
        f"Lambda 0 itself draws poorly ({says}): a change seen here may vanish once it is trained longer or tuned."
    ]


def test_a_baseline_that_copies_is_said_in_the_verdict_for_a_lower_fid_may_be_more_of_it() -> None:
    study = make_study()
    record = make_record(study, simulate(study, grid_cells(study), lambda _: 0.0))
    for ratio, copies in ((0.9, True), (1.1, False)):
        guide = assemble_guide(_with(record, {"nearest_train_ratio": ratio}), surface=False)
        said = [point for point in guide.verdict.points if "itself copies" in point]
        assert bool(said) is copies
        assert all(f"nearest-image ratio {ratio:.3f}" in point for point in said)


def test_a_baseline_that_draws_well_is_not_spoken_of() -> None:
    assert "draws poorly" not in guide_of(0.3, 0.8).verdict.model_dump_json()


def test_harm_that_a_bad_run_of_lambda_0_could_hide_is_explained_where_it_is_seen() -> None:
    record = read_record(ROOT / "reports" / "probe" / "record.json")
    guide = assemble_guide(record)
    seen = {
        claim.label
        for claim in guide.claims
        if claim.direction == "higher" and not claim.confirmed and claim.change and (claim.change.low or 0) > 0
    }
    assert len(seen) == 2
    (said,) = (note for note in guide.verdict.notes if note.startswith("Worse by the interval and yet not confirmed: "))
    assert all(label in said for label in seen)
    assert "it has to exceed 2.5 standard deviations until lambda 0 has run 19 times" in said
    confirmed = [claim for claim in guide.claims if claim.confirmed]
    assert confirmed
    assert not [claim.label for claim in confirmed if claim.label in said]


def test_a_study_in_which_everything_diverged_says_so_first() -> None:
    study = make_study()
    record = make_record(study, simulate(study, grid_cells(study), lambda _: 0.0))
    ends = [trial.model_copy(update={"state": "diverged", "rungs": ()}) for trial in record.trials]
    headline = assemble_guide(record.model_copy(update={"trials": tuple(ends)}), surface=False).verdict.headline
    count = len(ends)
    assert headline == f"Nothing was measured, not even lambda 0: of {count} trials that ended {count} diverged."
