"""Where MLflow shows a study: an address that opens a view of its trials, kept in the experiment."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest
from mlflow import MlflowClient

from sweeper.ledger.mlflow_pages import study_pages
from sweeper.ledger.trials_view import KEY, TAG
from sweeper.ledger.writer import Ledger
from sweeper.study import Study
from sweeper.study.registration import Registration
from tests.integration.ledger.ledger_life import PROVENANCE, STUDY, Home
from tests.sweeper.guide.study_records import make_study

RECALL = make_study(objective="recall", name=STUDY.name)


def opened(home: Home, owner: Registration) -> MlflowClient:
    """Record that a study begins, or that it is continued."""
    with Ledger(home.uri, home.artifacts, home.outbox, home.experiment, home.clock, registration=owner) as ledger:
        ledger.study_opened(owner.study, PROVENANCE)
        assert ledger.flush(30), ledger.trouble
    return MlflowClient(home.uri)


def asked(home: Home) -> dict[str, list[str]]:
    """What the address of the only study asks for."""
    (page,) = study_pages(home.uri)
    assert page.at("http://host/").startswith("http://host/#/experiments/")
    return parse_qs(page.path.partition("?")[2])


def test_an_address_opens_the_view_of_its_study_and_a_view_that_somebody_changed_stays(home: Home) -> None:
    owner = Registration.of(STUDY, home.outbox.parent)
    client = opened(home, owner)
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment
    assert f"mlflow.sharedViewState.{KEY}" in experiment.tags
    # With an order beside it the page would ignore the view.
    assert asked(home) == {"workflowType": ["machine_learning"], "viewStateShareKey": [KEY]}
    client.set_experiment_tag(experiment.experiment_id, TAG, "changed")
    opened(home, owner)
    assert client.get_experiment(experiment.experiment_id).tags[TAG] == "changed"


@pytest.mark.parametrize(
    ("study", "metric", "ascending"), [(STUDY, "fid_10k", "true"), (RECALL, "recall_10k", "false")]
)
def test_a_study_that_was_recorded_without_a_view_opens_in_the_order_of_its_objective(
    home: Home, study: Study, metric: str, ascending: str
) -> None:
    client = opened(home, Registration.of(study, home.outbox.parent))
    experiment = client.get_experiment_by_name(STUDY.name)
    assert experiment
    view = json.loads(experiment.tags[TAG])
    client.delete_experiment_tag(experiment.experiment_id, TAG)
    found = asked(home)
    assert (found["orderByKey"], found["orderByAsc"]) == ([f"metrics.`{metric}`"], [ascending])
    assert (view["orderByKey"], view["orderByAsc"]) == (f"metrics.`{metric}`", ascending == "true")
