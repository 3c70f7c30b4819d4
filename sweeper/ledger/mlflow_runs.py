"""A study's runs in MLflow, read; nothing here writes."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import SetupError, StudyError
from sweeper.ledger import tags
from sweeper.ledger.mlflow_tables import has_tables

PAGE = 1000


class Row(NamedTuple):
    """A run as it is read back."""

    key: str
    run_id: str
    status: str
    tags: dict[str, str]


class Reader:
    """Read a study's runs; writes nothing, and leaves a database that does not exist or has no tables as it is."""

    def __init__(self, uri: str, study_name: str) -> None:
        """Connect; raises StudyError where there is no such study and SetupError where the store does not answer."""
        remedy = "'sweeper run' records a study; name the workspace it was run in with --workspace"
        missing = StudyError(f"nothing is recorded of a study named '{study_name}'", remedy)
        self._uri = uri
        with self._answering():
            if not has_tables(uri):
                raise missing
            self._client = MlflowClient(tracking_uri=uri)
            experiment = self._client.get_experiment_by_name(study_name)
        if experiment is None:
            raise missing
        self._experiment, self._tags = str(experiment.experiment_id), dict(experiment.tags)

    def tags(self) -> dict[str, str]:
        """Return the experiment's tags."""
        return self._tags

    def rows(self) -> Iterator[Row]:
        """Yield the runs this product wrote, in the order in which they started."""
        token: str | None = ""
        while token is not None:
            with self._answering():
                page = self._client.search_runs(
                    [self._experiment], max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
                )
            yield from (_row(run) for run in page if tags.KEY in run.data.tags)
            token = page.token or None

    def find(self, key: str) -> Row | None:
        """Return the run with a key."""
        with self._answering():
            run = find_run(self._client, self._experiment, key)
        return _row(run) if run else None

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """Return an artifact's bytes, or None where the run has none of that name."""
        with self._answering(), tempfile.TemporaryDirectory() as folder:
            if name not in {file.path for file in self._client.list_artifacts(run_id)}:
                return None
            return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            remedy = "check that the server runs; 'mlflow db upgrade <uri>' brings an older database up to date"
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SetupError(f"the tracking store {self._uri} does not answer: {reason}", remedy) from error
        except sqlite3.Error as error:
            remedy = "restore the file from a copy, or run the study in a new workspace"
            raise SetupError(f"the tracking store {self._uri} cannot be read: {error}", remedy) from error


def find_run(client: MlflowClient, experiment: str, key: str) -> Run | None:
    """Return the run of an experiment that has a key."""
    found = client.search_runs([experiment], f"tags.`{tags.KEY}` = '{key}'", max_results=1)
    return found[0] if found else None


def _row(run: Run) -> Row:
    return Row(run.data.tags[tags.KEY], run.info.run_id, run.info.status, run.data.tags)
