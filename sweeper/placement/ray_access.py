"""Access to Ray: our own listens on loopback and requires a token; for a cluster we report whether it requires one.

Anyone who can reach a Ray without a token can run code as its user.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray._private import ray_constants, services, utils
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from sweeper.errors import SetupError

log = logging.getLogger(__name__)

KNOCK_S = 10.0
ANSWER_S = 30.0
# How an HTTP/2 client begins, with an empty frame of settings; a gRPC server answers with its own at once.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
# The header of each frame: a length of three bytes, a type, a flag, and a stream's number (RFC 9113, section 4.1).
HEADER_BYTES, TYPE_AT, SETTINGS = 9, 3, 4
REMEDY = "see `ray status`, or run without --address"


@contextlib.contextmanager
def private(folder: Path) -> Iterator[None]:
    """Make a Ray started within this context listen on loopback alone, and require a token kept in `folder`."""
    token = folder / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    switch = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_AUTH_TOKEN": None, switch: "0"}
    # Ray 2.60 turns a `_node_ip_address` of 127.0.0.1 into the machine's own, unless no cluster is wanted: a switch
    # made for other systems' firewalls. This process has read it, those that Ray starts read the environment.
    before = ray_constants.ENABLE_RAY_CLUSTER
    with _environment(ours):
        ray_constants.ENABLE_RAY_CLUSTER = False
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def guest(address: str) -> Iterator[None]:
    """Connect to a cluster with the user's token (Ray's variables or file), or without one, which prints a warning.

    Raises SetupError where no Ray answers at `address`, or the user's token is not its own.
    """
    found = _knock(address)
    refusal = _refusal(found, "disabled")
    if not refusal:
        log.warning(
            "WARNING: THE RAY CLUSTER AT %s ASKS FOR NO TOKEN. WHOEVER REACHES IT OVER THE NETWORK RUNS CODE AS YOU. "
            "Start its nodes with RAY_AUTH_MODE=token.",
            address,
        )
    elif "AuthenticationError" not in refusal:
        raise unreachable(address, refusal)
    elif _refusal(found, "token"):
        raise SetupError(
            f"Ray at {address} requires a token, and yours is missing or wrong",
            "put the cluster's token into RAY_AUTH_TOKEN, or its file into RAY_AUTH_TOKEN_PATH",
        )
    with _environment({"RAY_AUTH_MODE": "token" if refusal else "disabled"}):
        yield


@contextlib.contextmanager
def unnamed() -> Iterator[None]:
    """Keep our command line, in which --store may hold a password, from the jobs that a cluster lists."""
    theirs = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: "sweeper"
    try:
        yield
    finally:
        utils.get_entrypoint_name = theirs


def unreachable(address: str | None, error: object) -> SetupError:
    """Return the error for a Ray that did not start or answer."""
    return SetupError(f"cannot {f'reach Ray at {address}' if address else 'start Ray'}: {error}", REMEDY)


def _knock(address: str) -> str:
    """Return host and port of the cluster, at which something speaks gRPC.

    Ray 2.60 tries an address where nobody listens for over ten minutes, and one that never answers for longer.
    """
    if "://" in address:
        raise SetupError(
            f"--address {address} is the address of a Ray client server",
            "give host and port of the head node, e.g. head:6379",
        )
    try:
        found = services.canonicalize_bootstrap_address(address)
        if found is None:
            raise unreachable(address, "no cluster runs there")
        host, _, port = found.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S) as line:
            line.sendall(GREETING)
            with line.makefile("rb") as reply:
                header = reply.read(HEADER_BYTES)
        if not header:
            raise ConnectionError("it closed the connection")
        if len(header) < HEADER_BYTES or header[TYPE_AT] != SETTINGS:
            raise ConnectionError("what listens there is no Ray")
    except (OSError, ValueError, OverflowError) as error:
        raise unreachable(address, error) from error
    return found


def _refusal(found: str, mode: str) -> str:
    """Why a cluster refuses us; asked in a process of its own, as Ray 2.60 aborts on an invalid token."""
    code = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).check_alive([], timeout=10)"
    command, environment = [sys.executable, "-P", "-c", code, found], {**os.environ, "RAY_AUTH_MODE": mode}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {ANSWER_S:.0f} s"
    return (done.stderr.strip() or "it failed").splitlines()[-1] if done.returncode else ""


@contextlib.contextmanager
def _environment(values: dict[str, str | None]) -> Iterator[None]:
    """Set variables, or remove those that are None, for this process and what it starts, and give them back."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # Ray 2.60 caches their values.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
