"""The view that MLflow opens a study with."""

from __future__ import annotations

import json

from sweeper.ledger.tags import LENGTH
from sweeper.ledger.trials_view import columns_of, view_of
from tests.sweeper.guide.study_records import make_study


def test_columns_are_the_objective_the_swept_knobs_and_which_trial_it_is() -> None:
    trial = ["params.`stage`", "params.`seed`", "tags.`sweeper.state`"]
    knobs = ["params.`block`", "params.`lambda`", "params.`tau`"]
    assert columns_of(make_study()) == ["metrics.`fid_10k`", *knobs, *trial]
    several = make_study(space={"block": [1], "lambda": [0.1], "tau": [0.5], "variant": ["l2", "cosine"]})
    assert columns_of(several) == ["metrics.`fid_10k`", *knobs, "params.`variant`", *trial]


def test_mlflow_of_now_and_of_before_views_had_names_reads_the_same_view() -> None:
    written = view_of(make_study(), 1_700_000_000_000)
    assert len(written) < LENGTH
    view = json.loads(written)
    assert (view.pop("name"), view.pop("createdAt"), view.pop("updatedAt")) == ("Trials", *2 * [1_700_000_000_000])
    assert json.loads(view.pop("state")) == view
    assert view.keys() == {"orderByKey", "orderByAsc", "selectedColumns"}
