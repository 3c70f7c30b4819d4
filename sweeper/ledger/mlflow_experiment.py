"""A study's experiment in MLflow: the store opened, the experiment found or created, and another study's refused."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url

from sweeper.errors import ConflictError, SetupError
from sweeper.ledger import tags
from sweeper.ledger.mlflow_sqlite import use_write_ahead_log
from sweeper.ledger.mlflow_tables import SQLITE, make_tables
from sweeper.study.registration import OTHER_NAME, Registration

OUTDATED = "out-of-date database schema"  # MLflow has no kind of its own for it


class Experiment(NamedTuple):
    """A client of the store, the experiment's id, and whether it was created just now."""

    client: MlflowClient
    id: str
    created: bool


def open_experiment(uri: str, name: str, artifacts: Path | None, registration: Registration | None) -> Experiment:
    """Open a store and a study's experiment in it; tables (seconds) and experiment are made where they are missing.

    Raises ConflictError where the experiment of this name is another study's than `registration`'s, SetupError where
    another version of MLflow made the store.
    """
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE))
        database.parent.mkdir(parents=True, exist_ok=True)
        make_tables(database)
        use_write_ahead_log(database)
    try:
        client = MlflowClient(tracking_uri=uri)
        return Experiment(client, *_find_or_create(client, name, artifacts, registration))
    except MlflowException as error:
        if OUTDATED not in str(error):
            raise
        named = make_url(uri).render_as_string(hide_password=True)
        said = f"the tracking store {named} was made by another version of MLflow"
        raise SetupError(said, "make a copy of it, then run: mlflow db upgrade <uri>") from error


def _find_or_create(
    client: MlflowClient, name: str, artifacts: Path | None, registration: Registration | None
) -> tuple[str, bool]:
    found = client.get_experiment_by_name(name)
    mine = {tags.ID: registration.id, tags.OWNER: registration.owner} if registration else {}
    if found is None:
        place = artifacts.absolute().as_uri() if artifacts else None
        return str(client.create_experiment(name, place, mine)), True
    owner = found.tags.get(tags.ID)
    if registration and owner not in (None, registration.id):
        whose = found.tags.get(tags.OWNER, owner)
        raise ConflictError(f"the tracking store holds another study of this name: {whose}", OTHER_NAME)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for tag, value in mine.items() if owner is None else ():  # recorded before studies had an id
        client.set_experiment_tag(found.experiment_id, tag, value)
    return str(found.experiment_id), False
