"""A Ray to work on: this machine's own for the length of a run, or a cluster that is there already."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError

from sweeper.errors import SetupError
from sweeper.schedule.interrupts import Interrupts
from sweeper.schedule.vitals import Vitals
from sweeper.study import Resources

# Ray's sockets lie 60 characters below its folder, and the system allows 107 in all.
LONGEST_SCRATCH = 40
KNOCK_S = 10.0


@contextlib.contextmanager
def session(resources: Resources, address: str | None) -> Iterator[Interrupts]:
    """Start Ray on this machine, or connect to the cluster at `address`; leave nothing of it behind.

    Gives what remembers Ctrl-C and SIGTERM.

    Raises SetupError if that is not possible.
    """
    with _scratch() as folder:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if address is None:
            cpus = resources.slots * resources.cpus if resources.slots else None
            options |= {"include_dashboard": False, "_temp_dir": folder, "num_cpus": cpus, "address": "local"}
        else:
            _knock(address)
            options |= {"address": address}
        logging.getLogger("ray").setLevel(logging.ERROR)
        interrupts = Interrupts()
        vitals = Vitals(interrupts, folder)
        if address is None:
            vitals.start()
        try:
            ray.init(**options)
            interrupts.install()
            yield interrupts
        except KeyboardInterrupt:
            interrupts.check()
            raise
        except (OSError, RuntimeError, ValueError, RayError) as error:
            if ray.is_initialized():
                raise
            raise _unreachable(address, error) from error
        finally:
            vitals.stop()
            ray.shutdown()
            vitals.clear()


def _knock(address: str) -> None:
    # Ray 2.60 tries an address where nobody listens for over ten minutes.
    host, found, port = address.removeprefix("ray://").rpartition(":")
    if not found or not port.isdigit():
        return  # 'auto': Ray looks for a cluster on this machine and answers at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> SetupError:
    where = f"reach Ray at {address}" if address else "start Ray"
    return SetupError(f"cannot {where}: {error}", "see `ray status`, or run without --address")


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    short = None if len(tempfile.gettempdir()) <= LONGEST_SCRATCH else "/tmp"
    try:
        folder = tempfile.mkdtemp(prefix="sweeper-", dir=short)
    except OSError as error:
        raise SetupError(f"no temporary folder can be made: {error.strerror}", "set TMPDIR to one") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def slot_count(resources: Resources) -> int:
    """Return how many cohorts run at once on the connected Ray; raise SetupError if no node can hold even one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    fit = sum(_fitting(resources, have) for have in nodes)
    if fit < 1:
        largest = max(have.get("CPU", 0) for have in nodes), max(have.get("GPU", 0) for have in nodes)
        raise SetupError(
            f"a cohort asks for {resources.cpus} CPUs and {resources.gpus:g} GPUs on one node; "
            f"the largest has {largest[0]:g} CPUs and {largest[1]:g} GPUs",
            "lower resources.cpus or resources.gpus, or give --address of a larger cluster",
        )
    return min(fit, resources.slots or fit)


def _fitting(resources: Resources, have: dict[str, float]) -> int:
    by_cpu = int(have.get("CPU", 0) // resources.cpus)
    return min(by_cpu, int(have.get("GPU", 0) / resources.gpus + 1e-6)) if resources.gpus else by_cpu
