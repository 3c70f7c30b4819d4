"""Ten secrets that may appear nowhere, and the search for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "canary-01-tracking",
    "MLFLOW_TRACKING_TOKEN": "canary-02-bearer",
    "AWS_SECRET_ACCESS_KEY": "canary-03-bucket",
    "RAY_AUTH_TOKEN": "canary-04-ray",
}
PLACES = {
    "SWEEPER_STORE": "postgresql://optuna:canary-05-store@127.0.0.1:1/optuna",
    "SWEEPER_TRACKING": "http://mlflow:canary-06-server@127.0.0.1:1",
}
ENVIRONMENT = {**SECRETS, **PLACES}
STORE, TRACKING = "postgresql://me:canary-07@127.0.0.1:1/x", "http://canary-08@127.0.0.1:1"
ALL = [*ENVIRONMENT.values(), STORE, TRACKING, "canary-09-yaml", "canary-10-trace"]


def files_with_canaries(root: Path) -> Iterator[Path]:
    """Every file below that holds one, the databases' write-ahead logs included."""
    yield from (path for path in root.rglob("*") if path.is_file() and b"canary" in path.read_bytes())
