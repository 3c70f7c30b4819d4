"""`sweeper ui`: MLflow's own interface over a workspace."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress

from sweeper.errors import SetupError
from sweeper.ledger.mlflow_process import ui_command
from sweeper.workspace import Workspace

STOP_TIMEOUT_S = 10


def serve(workspace: Workspace, port: int, say: Callable[[str], None]) -> int:
    """Serve on 127.0.0.1 until interrupted; raise SetupError without a record to show or with the port taken."""
    if not (workspace.root / "mlflow.db").exists():
        raise SetupError(f"{workspace.root} holds no records yet", "run a study first, or give its --workspace")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(f"port {port} is not free: {error.strerror}", "give another with --port") from error
    # In an empty folder: Python and uvicorn would import a user's mlflow/ from the current one.
    arguments, environment = ui_command(workspace.tracking_uri, workspace.root / "artifacts", port)
    say(f"MLflow on http://127.0.0.1:{port} (takes some seconds to start; Ctrl-C ends it)")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped `sweeper ui` takes its server with it
    with tempfile.TemporaryDirectory(prefix="sweeper-") as empty:
        return _wait(subprocess.Popen(arguments, env=environment, cwd=empty))


def _wait(server: subprocess.Popen[bytes]) -> int:
    try:
        code = server.wait()
        raise SetupError(f"MLflow's server ended with code {code}", "see its message above")
    except KeyboardInterrupt:
        server.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT_S)
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
