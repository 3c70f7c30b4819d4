"""`sweeper ui`: MLflow's own interface over a workspace, or where it already runs; and Optuna's over its search."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sweeper.errors import SetupError, UnavailableError
from sweeper.ledger.liveness import ensure_answers, without_login
from sweeper.ledger.mlflow_process import prepare_mlflow, ui_command
from sweeper.workspace import Workspace

START_TIMEOUT_S, POLL_S, STOP_TIMEOUT_S = 120.0, 0.5, 10
MOST = 10  # studies whose pages are printed
SQLITE = "sqlite:///"


def serve(workspace: Workspace, port: int, say: Callable[[str], None]) -> int:
    """Print where each study is shown; unless a server runs already, be one on 127.0.0.1 until interrupted.

    Raises SetupError without a record to show, with the port taken, or where a tracking server does not answer.
    """
    uri = workspace.tracking_uri
    if uri.startswith("http"):
        ensure_answers(uri)
        _say_pages(uri, without_login(uri), say)
        return 0
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        raise SetupError(f"{workspace.root} holds no records yet", "run a study first, or give its --workspace")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(f"port {port} is not free: {error.strerror}", "give another with --port") from error
    arguments, environment = ui_command(uri, workspace.root / "artifacts", port)
    server = f"http://127.0.0.1:{port}"
    say("MLflow starts, which takes some ten seconds; Ctrl-C ends it")
    # In an empty folder: Python and uvicorn would import a user's mlflow/ from the current one.
    with tempfile.TemporaryDirectory(prefix="sweeper-") as empty:
        # In a session of its own: a terminal's Ctrl-C would reach it too, and uvicorn answers with its traceback.
        started = subprocess.Popen(arguments, env=environment, cwd=empty, start_new_session=True)
        return _wait(started, uri, server, say)


def serve_search(workspace: Workspace, port: int, say: Callable[[str], None]) -> int:
    """Serve optuna-dashboard over the workspace's search store, on 127.0.0.1, until interrupted.

    Raises SetupError where it is not installed, without a store, or with the port taken.
    """
    from sweeper.search.dashboard import serve_dashboard

    answers = f"optuna-dashboard answers on http://127.0.0.1:{port}, for looking alone; Ctrl-C ends it"
    with suppress(KeyboardInterrupt):
        serve_dashboard(workspace.store_url, port, lambda: say(answers))
    return 0


def _wait(process: subprocess.Popen[bytes], uri: str, server: str, say: Callable[[str], None]) -> int:
    try:
        if _starts(process, server):
            say(f"it answers on {server}")
            try:
                _say_pages(uri, server, say)
            except SetupError as error:  # the server itself is well
                say(error.message)
        code = process.wait()
        raise SetupError(f"MLflow's server ended with code {code}", "see its message above")
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        return 0
    finally:
        if process.poll() is None:
            process.terminate()


def _starts(process: subprocess.Popen[bytes], server: str) -> bool:
    """Wait until a server answers; return whether it does."""
    end = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(UnavailableError):
            ensure_answers(server)
            return True
        time.sleep(POLL_S)
    return False


def _say_pages(uri: str, server: str, say: Callable[[str], None]) -> None:
    prepare_mlflow()
    from sweeper.ledger.mlflow_pages import study_pages

    pages = study_pages(uri)
    for page in pages[:MOST]:
        say(f"{page.study}: {page.at(server)}")
    if len(pages) > MOST:
        say(f"and {len(pages) - MOST} more studies: {server}")
    if not pages:
        say(f"no study is recorded there yet: {server}")
