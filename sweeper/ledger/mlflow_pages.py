"""Where MLflow's interface shows a study: its runs in a table, and not the page for traces."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import SetupError
from sweeper.ledger import tags
from sweeper.ledger.mlflow_runs import find_run
from sweeper.ledger.trials_view import KEY, TAG, order_in_address
from sweeper.study import Study


class Page(NamedTuple):
    """A study's page in MLflow's interface: the study's name, and what follows the server's address."""

    study: str
    path: str

    def at(self, server: str) -> str:
        """Return its address on a server."""
        return f"{server.rstrip('/')}/{self.path}"


def study_pages(uri: str) -> list[Page]:
    """Return the pages of all studies in a store, the latest first; raise SetupError where it does not answer."""
    client = MlflowClient(tracking_uri=uri)
    try:
        found = client.search_experiments(order_by=["last_update_time DESC"])
        return [Page(one.name, _path(client, one)) for one in found if tags.OWNER in one.tags]
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise SetupError(f"the tracking store {uri} does not answer: {said}", "check that it runs") from error


def _path(client: MlflowClient, experiment: Experiment) -> str:
    shown = {"viewStateShareKey": KEY} if TAG in experiment.tags else _order(client, experiment.experiment_id)
    return f"#/experiments/{experiment.experiment_id}/runs?{urlencode({'workflowType': 'machine_learning', **shown})}"


def _order(client: MlflowClient, experiment_id: str) -> dict[str, str]:
    """Return the order alone, for a study that was recorded before it had a view."""
    run, study = find_run(client, experiment_id, tags.STUDY_KEY), None
    with suppress(ValueError):  # of another version, or changed by somebody: then runs lie in MLflow's own order
        study = tags.record_from(run.data.tags, tags.STUDY, Study) if run else None
    return order_in_address(study) if study else {}
