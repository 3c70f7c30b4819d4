"""Removing a study's record from MLflow, so that its name is free again."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import SetupError
from sweeper.ledger.mlflow_tables import has_tables

PAGE = 1000


def remove_experiment(uri: str, study_name: str, artifacts: Path | None) -> None:
    """Delete a study's experiment as MLflow does, under another name, and its runs' files in `artifacts`.

    MLflow keeps what is deleted until `mlflow gc`. Does nothing where there is none; raises SetupError where the store
    does not answer.
    """
    try:
        if not has_tables(uri):
            return
        client = MlflowClient(tracking_uri=uri)
        found, gone = client.get_experiment_by_name(study_name), f"{study_name} (removed "
        if found:
            for run in _runs(client, str(found.experiment_id)) if artifacts else ():
                assert artifacts is not None
                shutil.rmtree(artifacts / run, ignore_errors=True)
            if found.lifecycle_stage == "deleted":  # by somebody in MLflow, which renames no such experiment
                client.restore_experiment(found.experiment_id)
            removed = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            client.rename_experiment(found.experiment_id, f"{gone}{removed})")  # else the name would stay taken
        for one in client.search_experiments():  # this one, and any that a call before was interrupted at
            if one.name.startswith(gone):
                client.delete_experiment(one.experiment_id)
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise SetupError(f"the tracking store {uri} does not answer: {said}", "check that it runs") from error


def _runs(client: MlflowClient, experiment: str) -> list[str]:
    found: list[str] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token or None
    return found
