"""optuna-dashboard over a search store: for looking alone, and for this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sweeper.errors import SetupError
from sweeper.search.database import reading

HOST = "127.0.0.1"
App = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a page that is left open does not keep the server alive


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: else every request is a line."""


def serve_dashboard(url: str, port: int, started: Callable[[], object]) -> None:
    """Serve optuna-dashboard on 127.0.0.1 until interrupted; `started` is called once it accepts requests.

    Raises SetupError where it is not installed, where there is no store yet, or with the port taken.
    """
    try:
        import optuna_dashboard
    except ImportError:
        remedy = "install it: .venv/bin/pip install -e '.[dashboard]'"
        raise SetupError("optuna-dashboard is not installed", remedy) from None
    with reading(url) as storage:
        if storage is None:
            raise SetupError("there is no search store yet", "run a study first, or give its --workspace or --store")
        app = for_looking(optuna_dashboard.wsgi(storage), port)
        try:
            server = make_server(HOST, port, app, server_class=_Server, handler_class=_Silent)
        except OSError as error:
            raise SetupError(f"port {port} is not free: {error.strerror}", "give another with --port") from error
        with server:
            started()
            server.serve_forever(poll_interval=0.2)


def for_looking(app: App, port: int) -> App:
    """Refuse what would change a store, and requests by another name than this machine's.

    The coordinator alone writes a search: a trial that the dashboard edits or deletes would corrupt it. And a foreign
    page could read everything through a name of its own that leads to 127.0.0.1 (DNS rebinding).
    """
    names = {f"{host}:{port}" for host in (HOST, "localhost")}

    def guarded(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") in names and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "sweeper serves this dashboard for looking alone"}']

    return guarded
