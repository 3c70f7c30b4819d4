"""How we run MLflow: the environment of a process that imports it, and the server behind `sweeper ui`."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path

from sweeper.text.verbosity import is_verbose, limit_library

# Read by MLflow 3.17 when it is imported (telemetry, logging) or at every call (HTTP). Retrying is the ledger's
# own business: at MLflow's default of 7 retries a call to a server that is down blocks for 246 s.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
}


_IMPORTING = threading.Lock()


def prepare_mlflow() -> None:
    """Import MLflow with few log messages and short timeouts, unless the user's environment sets them otherwise.

    Call this before any use of MLflow. The ledger's thread and a reader may do so at once: where each waits for what
    the other imports, Python 3.11 hands a module out half initialised. So one of them imports all that both need.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _IMPORTING:
        for module in ("mlflow", "sweeper.ledger.mlflow_writer"):  # which imports those that read as well
            importlib.import_module(module)
    if is_verbose():
        limit_library("mlflow")  # MLflow's own level is read when it is imported, and set to be silent


def ui_command(uri: str, artifacts: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment of MLflow's own server over a database, on this machine only.

    It takes about 16 s to answer on http://127.0.0.1:<port>/health (16 s instead of 25 s and 0.4 GB instead of
    1.2 GB, as its job execution is off).
    """
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--default-artifact-root", artifacts.absolute().as_uri()]
    argv += ["--uvicorn-opts", "--log-level warning"]  # else every request is a line
    server = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    server["MLFLOW_BACKEND_STORE_URI"] = uri  # may hold a password, which a process list would show
    server["PYTHONWARNINGS"] = "ignore"  # what its libraries deprecate is no news for its users
    return argv, {**ENVIRONMENT, **os.environ, **server}
