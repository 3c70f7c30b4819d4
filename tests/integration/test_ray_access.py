"""Who can reach a local Ray, and what is said of a cluster that anybody can reach."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
import ray
from ray._private.ray_constants import ENABLE_RAY_CLUSTERS_ENV_VAR

from sweeper.errors import SetupError
from sweeper.placement.ray_session import LONGEST_SCRATCH, session
from sweeper.study import Resources
from tests.e2e.workplace import children, shadowed

CONNECT = """
import logging, sys, ray
from sweeper.errors import SweeperError
from sweeper.placement.ray_session import LONGEST_SCRATCH, session
from sweeper.study import Resources
try:
    with session(Resources(slots=1), sys.argv[1]):
        print(ray.get(ray.remote(num_cpus=0)(lambda: "a task ran").remote(), timeout=60))
except SweeperError as error:
    print(error.message, error.remedy, sep="; ")
"""
PLAIN = "import sys, ray; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).check_alive([])"
OPEN_CLUSTER = """
import ray
ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", _temp_dir=__import__("sys").argv[1])
print(ray.get_runtime_context().gcs_address, flush=True)
input()
"""


class Listener(NamedTuple):
    process: str
    host: str
    port: int


class Own(NamedTuple):
    address: str
    token: str
    path: list[str]
    listeners: list[Listener]


def listeners(root: int) -> list[Listener]:
    """Return what a process and its descendants listen on, over IPv4 and IPv6."""
    open_here = {row.split()[9]: row.split()[1] for row in _rows("tcp") + _rows("tcp6") if row.split()[3] == "0A"}
    found = []
    for pid in [root, *(pid for pid, _ in children(root))]:
        links = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        found += [Listener(name, *_address(at)) for inode, at in open_here.items() if f"socket:[{inode}]" in links]
    return found


def _rows(table: str) -> list[str]:
    return Path("/proc/net", table).read_text().splitlines()[1:]


def _address(written: str) -> tuple[str, int]:
    """Read the kernel's form of an address: words of 32 bits in the machine's order, then the port."""
    host, port = written.split(":")
    words = [bytes.fromhex(host[start : start + 8])[::-1] for start in range(0, len(host), 8)]
    address = ip_address(b"".join(words))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), int(port, 16)


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    kept |= {ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}  # else Ray takes 127.0.0.1 for the machine's address on its network
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("address", ["ray://127.0.0.1:1", "garbage", "foo..bar:6379", "127.0.0.1:99999", "[::1"])
def test_an_address_that_is_none_is_one_line(address):
    with pytest.raises(SetupError) as told, session(Resources(), address):
        pass
    assert address in told.value.message
    assert "\n" not in told.value.message


def test_a_server_that_never_answers_is_told_within_seconds(monkeypatch):
    monkeypatch.setattr("sweeper.placement.ray_access.KNOCK_S", 0.5)
    with socket.create_server(("0.0.0.0", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with (
            pytest.raises(SetupError, match=f"cannot reach Ray at {address}: timed out"),
            session(Resources(), address),
        ):
            pass


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"", "it closed the connection"),
        (b"x", "what listens there is no Ray"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens there is no Ray"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2", "what listens there is no Ray"),
    ],
)
def test_a_server_of_another_kind_is_told_at_once(reply: bytes, said: str):
    with socket.create_server(("0.0.0.0", 0)) as other, ThreadPoolExecutor(1) as threads:

        def answer() -> None:
            with other.accept()[0] as line:
                line.recv(1 << 10)
                line.sendall(reply)

        threads.submit(answer)
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SetupError, match=f"cannot reach Ray at {address}: {said}"), session(Resources(), address):
            pass


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """A local session in a user's folder, with a worker in it, and the longest temporary folder that is used."""
    before, kept = Path.cwd(), tempfile.tempdir
    os.chdir(shadowed(tmp_path_factory.mktemp("here")))
    scratch = Path(f"/tmp/test-{os.getpid()}".ljust(LONGEST_SCRATCH, "_"))
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    try:
        with session(Resources(slots=1), None):
            path = ray.get(ray.remote(num_cpus=0)(lambda: sys.path).remote())
            address, token = ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN_PATH"]
            yield Own(address, token, path, listeners(os.getpid()))
            assert Path(token).is_relative_to(scratch)
        assert list(scratch.iterdir()) == []
    finally:
        os.chdir(before)
        tempfile.tempdir = kept
        shutil.rmtree(scratch)


def test_every_socket_of_a_local_run_listens_on_loopback(own):
    assert {"gcs_server", "raylet"} <= {listener.process for listener in own.listeners}
    assert len(own.listeners) >= 5  # and the driver's, an agent's and a worker's
    assert [listener for listener in own.listeners if not ip_address(listener.host).is_loopback] == []


def test_the_token_of_a_local_run_is_its_owners_alone(own):
    assert Path(own.token).stat().st_mode & 0o777 == 0o600
    assert Path(own.token).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("own")
def test_the_cluster_is_not_told_the_command_line_with_its_passwords():
    (job,) = ray._private.worker.global_worker.gcs_client.get_all_job_info().values()
    assert job.entrypoint == "sweeper"


def test_a_client_without_the_token_is_refused(own):
    refused = python(PLAIN, own.address, RAY_AUTH_MODE="disabled")
    assert "AuthenticationError" in refused.stderr
    assert refused.returncode != 0


def test_a_missing_token_is_one_line_with_the_remedy(own):
    told = python(CONNECT, own.address, RAY_AUTH_TOKEN_PATH="/no/such/file")
    assert told.stdout.startswith(f"Ray at {own.address} requires a token, and yours is missing or wrong; put the")
    assert told.stderr == ""


def test_the_agent_that_makes_environments_asks_for_the_token_as_well(own):
    (agent,) = [listener for listener in own.listeners if listener.process.startswith("ray::RuntimeEnv")]
    with closing(HTTPConnection(agent.host, agent.port, timeout=10)) as line:
        line.request("POST", "/get_or_create_runtime_env", body=b"")
        assert line.getresponse().status == 401


def test_a_client_with_the_token_runs_its_tasks_and_is_not_warned(own):
    done = python(CONNECT, own.address, RAY_AUTH_TOKEN_PATH=own.token)
    assert done.stdout.strip() == "a task ran"
    assert done.stderr == ""


def test_a_worker_does_not_search_the_folder_the_command_is_run_in(own):
    assert str(Path.cwd()) not in own.path


@pytest.fixture
def open_cluster() -> Iterator[str]:
    """The address of a Ray that asks for no token."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        command = [sys.executable, "-P", "-c", OPEN_CLUSTER, f"{folder}/r"]
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}
        cluster = subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, stderr=-3, text=True)
        assert cluster.stdout
        yield cluster.stdout.readline().strip()
        cluster.communicate("\n", timeout=60)


def test_a_cluster_without_a_token_is_warned_of_in_capitals(open_cluster):
    done = python(CONNECT, open_cluster, RAY_AUTH_TOKEN="a" * 64)
    assert done.stdout.strip() == "a task ran"
    assert f"WARNING: THE RAY CLUSTER AT {open_cluster} ASKS FOR NO TOKEN." in done.stderr
