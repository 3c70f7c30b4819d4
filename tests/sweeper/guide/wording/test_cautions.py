"""Sentences that keep a reader from concluding too much."""

from __future__ import annotations

import pytest

from sweeper.guide.assemble import assemble_guide
from sweeper.guide.schema.guide import Guide
from sweeper.records import StudyRecord
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
        f"Lambda 0 itself draws poorly ({says}): train it longer or tune it before you believe a comparison."
    ]


def test_a_baseline_that_draws_well_is_not_spoken_of() -> None:
    assert "draws poorly" not in guide_of(0.3, 0.8).verdict.model_dump_json()
