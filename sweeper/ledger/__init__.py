"""The ledger: a study's record in MLflow, written through an outbox and read back as plain records.

The modules whose names begin with `mlflow_` alone import mlflow; nothing here imports them before they are needed.
"""

from sweeper.ledger.events import GRID, WEIGHTS
from sweeper.ledger.outbox import has_undelivered
from sweeper.ledger.records_from_mlflow import Owner, TrialFiles, counts, owner_of, read_study, remove_study
from sweeper.ledger.writer import Ledger

__all__ = [
    "GRID",
    "WEIGHTS",
    "Ledger",
    "Owner",
    "TrialFiles",
    "counts",
    "has_undelivered",
    "owner_of",
    "read_study",
    "remove_study",
]
