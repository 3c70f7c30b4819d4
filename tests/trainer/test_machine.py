import ctypes
import platform
import subprocess
import sys

import pytest
import torch

from trainer import machine

TOUCH = """
import resource, torch
from trainer import machine
if {keep}:
    assert machine.keep_memory()
def use():
    for _ in range(20):
        parts = [torch.ones(1 << 20) for _ in range(4)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    """Return the page faults of taking and freeing 16 MiB twenty times."""
    run = subprocess.run([sys.executable, "-c", TOUCH.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_memory_that_is_kept_costs_no_page_faults():
    assert faults(keep=True) < 100  # 80,000 pages are taken; an allocator that gives some back gets 4,000 again


def test_an_allocator_that_takes_no_advice_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert machine.keep_memory() is False


def test_a_prepared_process_has_its_threads_and_no_denormals(monkeypatch):
    monkeypatch.setattr(machine, "keep_memory", lambda: True)
    before = torch.get_num_threads()
    try:
        machine.prepare(1)
        assert torch.get_num_threads() == 1
        assert float(torch.tensor([1e-39]) * 1) == 0.0
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
