"""Ray's processes, watched: here a child that bears the name of one."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from sweeper.errors import SetupError
from sweeper.placement.interrupts import Interrupts
from sweeper.placement.ray_processes import RayProcesses
from sweeper.signals import stoppable


@pytest.fixture
def gcs(tmp_path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    named = tmp_path / "gcs_server"
    named.symlink_to("/bin/sleep")
    with contextlib.ExitStack() as started:

        def start() -> subprocess.Popen[bytes]:
            process = started.enter_context(subprocess.Popen([named, "60"]))
            started.callback(process.kill)
            return process

        yield start


def watch(scratch, meanwhile) -> Interrupts:
    interrupts = Interrupts()
    vitals = RayProcesses(interrupts, str(scratch))
    with stoppable():
        interrupts.install()
        vitals.start()
        try:
            meanwhile(vitals)
        finally:
            vitals.stop()
            vitals.clear()
    return interrupts


def test_a_dead_gcs_ends_the_run_in_a_second_and_what_it_left_is_ended(tmp_path, gcs):
    left = []

    def meanwhile(_: RayProcesses) -> None:
        left.append(subprocess.Popen(["/bin/sleep", "60"]))
        gcs().kill()
        time.sleep(10)

    began = time.monotonic()
    with pytest.raises(SetupError, match="Ray's gcs_server ended") as lost:
        watch(tmp_path, meanwhile)
    assert lost.value.remedy == "run the same command again to continue"
    assert time.monotonic() - began < 5
    assert left[0].wait(5) < 0


def test_a_gcs_that_ends_when_it_may_is_no_loss(tmp_path, gcs):
    def meanwhile(vitals: RayProcesses) -> None:
        ray = gcs()
        vitals.stop()
        ray.kill()
        time.sleep(1)

    assert watch(tmp_path, meanwhile).lost == ""


def test_the_gcs_of_another_ray_below_this_process_may_end(tmp_path):
    named = tmp_path / "gcs_server"
    named.symlink_to("/bin/sleep")

    def meanwhile(_: RayProcesses) -> None:
        with subprocess.Popen(["/bin/sh", "-c", f"{named} 1; {named} 1 & exec sleep 3"]):
            pass

    assert watch(tmp_path, meanwhile).lost == ""
