"""Real servers for a storm: PostgreSQL and MLflow, and a line to MLflow that can be cut, silent, slow or angry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

from sweeper.ledger.mlflow_process import ENVIRONMENT

Mode = Literal["open", "down", "silent", "slow", "500", "401"]
DELAY_S = 5.0
START_S = 90.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_is_missing() -> str:
    """Say what keeps a PostgreSQL of our own from running here; '' where nothing does."""
    if not server_program("initdb"):
        return "no PostgreSQL server program is installed"
    if find_spec("psycopg") is None:
        return "psycopg is not installed: pip install dispersive-sweeper[postgres]"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root, and there is no user postgres"
    return ""


def server_program(name: str) -> str:
    """Find a program of PostgreSQL's; Debian keeps them off the path. '' where it is not installed."""
    kept = sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
    return shutil.which(name) or next(reversed(kept), "")


class Postgres:
    """A PostgreSQL of its own; as it refuses to run as root, it then runs as the user postgres."""

    def __init__(self, folder: Path) -> None:
        self._data, self._port = folder / "data", free_port()
        folder.chmod(0o755)
        self._data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres")
        self._as_postgres("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._control("start", "-o", options, "-l", str(self._data / "log"))

    def stop(self, how: Literal["immediate", "fast"]) -> None:
        self._control("stop", "-m", how)

    def _control(self, *words: str) -> None:
        self._as_postgres("pg_ctl", "-D", str(self._data), "-w", *words)

    def _as_postgres(self, program: str, *words: str) -> None:
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        command = [*other, server_program(program), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


class Line:
    """A TCP line to a server, whose `mode` says what whoever calls through it meets."""

    def __init__(self, target: int) -> None:
        self._target, self.port, self._mode = target, free_port(), "open"
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    def set_mode(self, mode: Mode) -> None:
        """Change what callers meet, those that are connected included."""
        self._mode = mode
        self._loop.call_soon_threadsafe(self._hang_up)

    def _hang_up(self) -> None:
        for writer in list(self._open):
            writer.close()

    async def _serve(self) -> None:
        await asyncio.start_server(self._answer, "127.0.0.1", self.port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            match self._mode:
                case "down":
                    pass
                case "silent":
                    await asyncio.sleep(600)
                case "500" | "401":
                    await reader.read(1 << 16)
                    words = {"500": "Internal Server Error", "401": "Unauthorized"}[self._mode]
                    head = f"HTTP/1.1 {self._mode} {words}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    writer.write(head.encode())
                    await writer.drain()
                case _:
                    await self._through(reader, writer)
        self._open.discard(writer)
        writer.close()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(forth)
        try:
            await asyncio.gather(self._copy(reader, forth, self._mode == "slow"), self._copy(back, writer, False))
        finally:
            self._open.discard(forth)
            forth.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, slow: bool) -> None:
        while data := await source.read(1 << 16):
            if slow:
                await asyncio.sleep(DELAY_S)
            sink.write(data)
            await sink.drain()
        sink.close()


@contextlib.contextmanager
def mlflow_line(folder: Path) -> Iterator[Line]:
    """Run MLflow's server over a database in `folder`; give a line to it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {**ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": "/usr/bin:/bin"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True, **quiet)
    try:
        until = time.monotonic() + START_S
        while not _answers(port):
            assert server.poll() is None, "MLflow's server ended"
            assert time.monotonic() < until, "MLflow's server does not answer"
            time.sleep(0.5)
        yield Line(port)
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="storm-pg-") as folder:
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.stop("fast")


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
