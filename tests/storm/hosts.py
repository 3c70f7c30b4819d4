"""Two hosts in network namespaces, a Ray cluster over them, and what can happen to the second one; needs root."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 60.0
HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT = 6379


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Hosts:
    """A head and another host, each with one core for Ray; a study is run on the head."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder, (f"storm-a{os.getpid()}", f"storm-b{os.getpid()}")
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self._environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command on the head."""
        named = [f"{name}={self._environment[name]}" for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")]
        return ("ip", "netns", "exec", self._names[0], "env", *named)

    def open(self) -> None:
        """Make the network and start Ray on both hosts."""
        a, b = self._names
        for name in self._names:
            _ip("netns", "add", name)
        _ip("link", "add", "storm0", "netns", a, "type", "veth", "peer", "name", "storm0", "netns", b)
        for name, address in zip(self._names, (HEAD, OTHER), strict=True):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "storm0")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "storm0", "up")
        self._start(a, "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false")
        self._start_other()

    def close(self) -> None:
        """Stop Ray and take the network down."""
        for name in reversed(self._names):
            self._kill(name)
            _ip("netns", "delete", name)

    def lose_other(self) -> None:
        """Kill the second host and start it again."""
        self._kill(self._names[1])
        time.sleep(1)
        self._start_other()

    def cut(self, seconds: float) -> None:
        """Cut the network for some seconds; a host that gave up meanwhile is started again."""
        _ip("-n", self._names[1], "link", "set", "storm0", "down")
        time.sleep(seconds)
        _ip("-n", self._names[1], "link", "set", "storm0", "up")
        time.sleep(2)
        if self._nodes[self._names[1]].poll() is not None:
            self._start_other()

    def _start_other(self) -> None:
        self._start(self._names[1], f"--address={HEAD}:{PORT}", f"--node-ip-address={OTHER}")

    def _start(self, name: str, *words: str) -> None:
        program = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
        command = ["ip", "netns", "exec", name, *program, "start", *words, "--num-cpus=1", "--block"]
        command += [f"--temp-dir={self._folder / 'r'}"] if "--head" in words else []
        log = (self._folder / f"{name}.log").open("ab")
        self._nodes[name] = subprocess.Popen(
            command, env=self._environment, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
        until = time.monotonic() + START_S
        while "--block" not in (self._folder / f"{name}.log").read_text().rpartition("Ray runtime started")[2]:
            assert self._nodes[name].poll() is None, (self._folder / f"{name}.log").read_text()
            assert time.monotonic() < until, "Ray does not start"
            time.sleep(0.5)

    def _kill(self, name: str) -> None:
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout.split()
        for pid in map(int, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if name in self._nodes:
            self._nodes[name].wait()


@contextlib.contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Run a cluster on two hosts."""
    with tempfile.TemporaryDirectory(prefix="s2-") as folder:
        hosts = Hosts(Path(folder))
        try:
            hosts.open()
            yield hosts
        finally:
            hosts.close()
