"""The services of a compose file as processes: each in a network namespace of its own, found by its name; needs root.

Commands, variables and ports are the file's. A container's `/data` is a folder here, PostgreSQL's image is the program.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.storm.servers import server_program

VOLUME = "/data"
LAN = "10.78.0"
START_S = 120.0
PROGRAMS = Path(sys.executable).parent
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]*\}")


class Services:
    """What a compose file starts. Commands run in a service by `execute`, as `docker compose exec` would."""

    def __init__(self, file: Path, folder: Path, variables: Mapping[str, str]) -> None:
        """`variables` are what a user exports; one that the file requires and that is missing is a KeyError."""
        text = REQUIRED.sub(lambda found: variables[found[1]], file.read_text()).replace(VOLUME, str(folder / "work"))
        self._file: dict[str, Any] = yaml.safe_load(text)
        self.names: list[str] = list(self._file["services"])
        self._folder, self._tag = folder, f"compose{os.getpid()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "work").mkdir()

    def open(self) -> None:
        """Make the network and start every service in the file's order."""
        _ip("netns", "add", self._tag)
        _ip("-n", self._tag, "link", "add", "lan", "type", "bridge")
        _ip("-n", self._tag, "link", "set", "lan", "up")
        _ip("-n", self._tag, "addr", "add", f"{LAN}.1/24", "dev", "lan")
        hosts = "127.0.0.1 localhost\n" + "".join(f"{LAN}.{at + 2} {name}\n" for at, name in enumerate(self.names))
        for at, name in enumerate(self.names):
            space = self._space(name)
            _ip("netns", "add", space)
            _ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", f"to{at}", "netns", self._tag)
            _ip("-n", self._tag, "link", "set", f"to{at}", "master", "lan", "up")
            _ip("-n", space, "addr", "add", f"{LAN}.{at + 2}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "route", "add", "default", "via", f"{LAN}.1")  # by which Ray finds its own address
            etc = Path("/etc/netns", space)
            etc.mkdir(parents=True)
            (etc / "hosts").write_text(hosts)
            (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody: names are in `hosts`
        for name in self.names:
            self._start(name)

    def close(self) -> None:
        """Stop everything and take the network down."""
        for space in (*map(self._space, reversed(self.names)), self._tag):
            with contextlib.suppress(subprocess.CalledProcessError):
                found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=True)
                for pid in map(int, found.stdout.split()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                _ip("netns", "delete", space)
            shutil.rmtree(Path("/etc/netns", space), ignore_errors=True)
        for process in self._processes.values():
            process.wait()

    def execute(self, name: str, command: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run a command in a service, with its variables, in its working folder."""
        words = [*self._inside(name), *_installed(shlex.split(command))]
        return subprocess.run(
            words,
            env=self._environment(name),
            cwd=self._folder / "work",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def log(self, name: str) -> str:
        """Return what a service printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _start(self, name: str) -> None:
        service = self._file["services"][name]
        if service.get("image", "").startswith("postgres:"):
            self._start_postgres(name, service)
            return
        log = (self._folder / f"{name}.log").open("ab")
        command = [*self._inside(name), *_installed(shlex.split(service["command"]))]
        self._processes[name] = subprocess.Popen(
            command, env=self._environment(name), cwd=self._folder / "work", stdout=log, stderr=log
        )
        self._await_port(name, service["command"])

    def _await_port(self, name: str, command: str) -> None:
        """Wait until the port that a command names answers: compose restarts what came too early, we start in order."""
        found = re.search(r"--port[ =](\d+)", command)
        knock = f"import socket; socket.create_connection(('{name}', {found[1]}), 2)" if found else "pass"
        until, quiet = time.monotonic() + START_S, {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        while subprocess.run([*self._inside(name), sys.executable, "-c", knock], check=False, **quiet).returncode:
            assert self._processes[name].poll() is None, self.log(name)
            assert time.monotonic() < until, f"{name} does not answer: {self.log(name)[-2000:]}"
            time.sleep(0.5)

    def _start_postgres(self, name: str, service: Mapping[str, Any]) -> None:
        """Start the program as PostgreSQL's image does: a user with a password, its database, then the given SQL."""
        given, data, secret = service["environment"], self._folder / "data", self._folder / "secret"
        secret.write_text(given["POSTGRES_PASSWORD"])
        data.mkdir()
        for path in (self._folder, data, secret):
            shutil.chown(path, "postgres")
        words = ["-A", "scram-sha-256", "-U", given["POSTGRES_USER"], "--pwfile", str(secret), "--no-sync"]
        self._as_postgres(name, "initdb", "-D", str(data), *words)
        with (data / "pg_hba.conf").open("a") as access:
            access.write("host all all all scram-sha-256\n")
        options = "-c listen_addresses=* -c unix_socket_directories=''"
        self._as_postgres(name, "pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(data / "log"), "start")
        secret.unlink()
        configs = self._file["configs"]
        for statement in (
            f"CREATE DATABASE {given['POSTGRES_DB']};",
            *(configs[one["source"]]["content"] for one in service["configs"]),
        ):
            where = f"host={name} user={given['POSTGRES_USER']} dbname=postgres password={given['POSTGRES_PASSWORD']}"
            code = f"import psycopg; psycopg.connect({where!r}, autocommit=True).execute({statement!r})"
            subprocess.run([*self._inside(name), sys.executable, "-c", code], check=True)

    def _as_postgres(self, name: str, which: str, *words: str) -> None:
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*self._inside(name), *other, server_program(which), *words], check=True, cwd="/", **quiet)

    def _space(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _inside(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", self._space(name)]

    def _environment(self, name: str) -> dict[str, str]:
        ours = {one: value for one, value in os.environ.items() if not one.startswith(("RAY_", "SWEEPER_", "MLFLOW_"))}
        ours["PATH"] = f"{PROGRAMS}{os.pathsep}{ours['PATH']}"
        return {**ours, **{one: str(value) for one, value in self._file["services"][name]["environment"].items()}}


def _installed(words: list[str]) -> list[str]:
    """Take a program of the image from this environment; an installed script may name another interpreter."""
    modules = {"ray": "from ray.scripts.scripts import main; main()", "mlflow": "from mlflow.cli import cli; cli()"}
    modules |= {"sweeper": "from sweeper.cli import program; program()"}
    return [sys.executable, "-P", "-c", modules[words[0]], *words[1:]]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def services(file: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[Services]:
    """Run the services of a compose file."""
    running = Services(file, folder, variables)
    try:
        running.open()
        yield running
    finally:
        running.close()
