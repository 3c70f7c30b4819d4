"""A Ray session: started on this machine for the length of a run, or a connection to an existing cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import site
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout
from ray.exceptions import RayError
from ray.job_config import JobConfig

from sweeper.errors import SetupError
from sweeper.placement.interrupts import Interrupts, own_handlers, shut_down
from sweeper.placement.ray_access import guest, private, unnamed, unreachable
from sweeper.placement.ray_processes import RayProcesses
from sweeper.study import Resources
from sweeper.text.verbosity import limit_library

# Ray's sockets lie up to 83 characters below the temporary folder, and the system allows 107 in all.
LONGEST_SCRATCH = 24
PREFIX, LOCK = "sweeper-", "lock"  # of that folder, and of the file in it that a living driver holds


@contextlib.contextmanager
def session(resources: Resources, address: str | None) -> Iterator[Interrupts]:
    """Start Ray on this machine, or connect to the cluster at `address`; leave nothing of it behind.

    Yields the object that remembers Ctrl-C and SIGTERM.

    Raises SetupError if that is not possible.
    """
    if ray.is_initialized():  # by a script or notebook that calls `sweeper.run`: its Ray is not ours to end
        raise SetupError("Ray already runs in this process", "call ray.shutdown() before it")
    with _scratch() as folder:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if address is None:
            cpus = resources.slots * resources.cpus if resources.slots else None
            # A folder below ours: Ray 2.60 opens the one it is given to every user of the machine.
            options |= {"include_dashboard": False, "_temp_dir": f"{folder}/r", "num_cpus": cpus, "address": "local"}
        else:
            options |= {"address": address}
        limit_library("ray")
        interrupts = Interrupts()
        vitals = RayProcesses(interrupts, folder)
        with private(Path(folder)) if address is None else guest(address):
            if address is None:
                vitals.start()
            try:
                with unnamed(), own_handlers():
                    ray.init(**options, job_config=_job())
                interrupts.install()
                with interrupts.unwrapped():
                    yield interrupts
            except KeyboardInterrupt:
                interrupts.check()
                raise
            except (OSError, RuntimeError, ValueError, RayError) as error:
                if ray.is_initialized():
                    raise
                raise unreachable(address, error) from error
            finally:
                vitals.stop()
                shut_down()
                vitals.clear()


def _job() -> JobConfig:
    """A job whose workers search for modules where this process does: never first in the folder it is run in.

    Ray 2.60 puts that folder first on their path, where a user's trainer.py or ray.py would be taken for ours. It does
    not do so for a job that came through its client.
    """
    home = str(Path(__file__).parents[2])
    # A checkout that is not installed is not on a worker's path by itself.
    return JobConfig(_client_job=True, _py_driver_sys_path=[] if home in site.getsitepackages() else [home])


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST_SCRATCH else "/tmp"
    try:
        _clear_dead(Path(parent))
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        lock = FileLock(Path(folder, LOCK))
        lock.acquire()
    except OSError as error:
        raise SetupError(
            f"cannot create a temporary folder: {error.strerror}", "set TMPDIR to a folder that you can write to"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _clear_dead(parent: Path) -> None:
    """Remove the folders of this user's killed drivers: a living driver holds the lock in its folder."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            if folder.stat().st_uid == os.getuid() and (folder / LOCK).is_file():
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def slot_count(resources: Resources) -> int:
    """Return how many cohorts run at once on the connected Ray; raise SetupError if no node can hold even one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    fit = sum(_fitting(resources, have) for have in nodes)
    if fit < 1:
        largest = max(have.get("CPU", 0) for have in nodes), max(have.get("GPU", 0) for have in nodes)
        raise SetupError(
            f"a cohort needs {resources.cpus} CPUs and {resources.gpus:g} GPUs on one node; "
            f"the largest has {largest[0]:g} CPUs and {largest[1]:g} GPUs",
            "lower resources.cpus or resources.gpus, or give --address of a larger cluster",
        )
    return min(fit, resources.slots or fit)


def _fitting(resources: Resources, have: dict[str, float]) -> int:
    by_cpu = int(have.get("CPU", 0) // resources.cpus)
    return min(by_cpu, int(have.get("GPU", 0) / resources.gpus + 1e-6)) if resources.gpus else by_cpu
