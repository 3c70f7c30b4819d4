"""What a study may minimise, by which name, and that a study that says nothing is what it was."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from sweeper.records import StudyRecord
from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields, fingerprint
from sweeper.study.objective import LEAST
from tests.sweeper.guide.study_records import make_study
from trainer.recipe import METRICS, EvalRecipe, Recipe, recorded_metric


def judged_by(name: str, **evaluation: object) -> Study:
    return make_study(objective=name, recipe={"eval": evaluation})


def test_a_study_that_names_fid_is_the_study_that_names_nothing() -> None:
    assert fingerprint(make_study(objective="fid")) == fingerprint(make_study()) == "58a591b0f65ea273"
    assert Recipe().hash == "642a8255d40bbfc5"
    assert make_study().minimised.name() == "fid_10k"


def test_a_study_registered_before_there_was_a_choice_goes_on() -> None:
    old = make_study().model_dump(by_alias=True, mode="json")
    del old["objective"]
    assert changed_fields(Study.model_validate(old), make_study()) == []


def test_a_study_judged_by_another_metric_is_another_study() -> None:
    assert fingerprint(judged_by("val_loss")) != fingerprint(make_study())
    assert judged_by("val_loss").recipe.hash == make_study().recipe.hash
    assert changed_fields(make_study(), judged_by("val_loss")) == ['objective: "fid" -> "val_loss"']


MEASURED = [name for name, metric in METRICS.items() if metric.ranks and EvalRecipe().measures(name)]


@pytest.mark.parametrize("name", MEASURED)
def test_every_metric_that_ranks_is_minimised_in_its_better_direction(name: str) -> None:
    minimised = judged_by(name, samples=10_000, rung_samples=2500).minimised
    worse, better = (0.2, 0.3) if METRICS[name].better == "higher" else (0.3, 0.2)
    for last in (False, True):
        assert minimised.of({minimised.recorded(last): better}, last) < minimised.of(
            {minimised.recorded(last): worse}, last
        )
    found = recorded_metric(minimised.recorded())
    assert found is not None
    assert found.metric is METRICS[name]


def test_what_is_better_higher_is_minimised_by_its_reciprocal_under_a_name_of_its_own() -> None:
    minimised = judged_by("recall", samples=10_000, rung_samples=2500).minimised
    assert [minimised.name(last) for last in (True, False)] == ["1/recall_10k", "1/recall_2500"]
    assert minimised.of({"recall_10k": 0.25}) == 4
    assert minimised.of({"recall_10k": 0.0}) == 1 / LEAST
    assert math.isnan(judged_by("val_loss").minimised.of({}))


@pytest.mark.parametrize(
    ("name", "evaluation", "says"),
    [
        ("kid", {}, "objective must be one of fid, val_loss, .*: KID's values may be 0 or less, which have no ratio"),
        ("nearest_train", {}, "nearest-image distance's values are better in no direction"),
        ("sfid", {}, "must be measured: sfid needs recipe.eval.extractor inception"),
        ("classifier_score", {}, "must be measured: add classifier_score to recipe.eval.metrics"),
        ("recall", {"extractor": "inception", "weights": "w", "reference": "r.npz"}, "must be fid or val_loss with"),
    ],
)
def test_what_cannot_be_minimised_is_refused_with_a_remedy(name: str, evaluation: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says.removeprefix("objective ")):
        judged_by(name, **evaluation)


def test_an_optional_metric_may_be_asked_for_and_minimised() -> None:
    assert judged_by("classifier_score", metrics=["classifier_score"]).minimised.is_inverted


def test_a_metric_that_ranks_can_say_what_it_shows() -> None:
    assert [name for name, metric in METRICS.items() if bool(metric.shows) != (metric.ranks and name != "fid")] == []


def test_a_shipped_record_is_judged_by_fid_as_it_always_was(request: pytest.FixtureRequest) -> None:
    path = request.config.rootpath / "reports/null/record.json"
    assert StudyRecord.model_validate_json(path.read_bytes()).study.minimised.is_fid
