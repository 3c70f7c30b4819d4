"""The ledger: a study's memory in MLflow, written through an outbox and read back as plain records.

`tracking` is the only module that imports mlflow; nothing here imports it before it is needed.
"""

from sweeper.ledger.readback import counts, read_grid, read_study
from sweeper.ledger.writer import Ledger

__all__ = ["Ledger", "counts", "read_grid", "read_study"]
