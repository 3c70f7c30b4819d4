import ctypes
import platform
import subprocess
import sys

import pytest
import torch

from trainer.runtime import process

ALLOCATE = """
import ctypes
from trainer.runtime import process
if {keep}:
    assert process.keep_memory()
libc = ctypes.CDLL(None)
class Info(ctypes.Structure):  # man mallinfo2
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
libc.mallinfo2.restype, libc.malloc.restype, libc.free.argtypes = Info, ctypes.c_void_p, [ctypes.c_void_p]
before = libc.mallinfo2()
parts = [libc.malloc(ctypes.c_size_t(20 << 20)) for _ in range(3)]
mapped = libc.mallinfo2().hblks - before.hblks
for part in reversed(parts):
    libc.free(part)
print(mapped, libc.mallinfo2().arena - before.arena >> 20)
"""


def allocated(keep: bool) -> tuple[int, int]:
    """Take and free three times 20 MiB; return how many lay outside the heap, and how many MiB it has grown by."""
    run = subprocess.run([sys.executable, "-c", ALLOCATE.format(keep=keep)], capture_output=True, text=True, check=True)
    mapped, grown = run.stdout.split()
    return int(mapped), int(grown)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")
def test_memory_that_is_freed_stays_in_the_heap():
    """What leaves it comes with a page fault every 4 KiB when it is taken again."""
    assert allocated(keep=False) == (3, 0)
    mapped, grown = allocated(keep=True)
    assert mapped == 0
    assert grown >= 40


def test_an_allocator_that_takes_no_advice_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert process.keep_memory() is False


def test_a_prepared_process_has_its_threads_and_no_denormals(monkeypatch):
    monkeypatch.setattr(process, "keep_memory", lambda: True)
    before = torch.get_num_threads()
    try:
        process.prepare(1)
        assert torch.get_num_threads() == 1
        assert float(torch.tensor([1e-39]) * 1) == 0.0
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("error", "memory", "lost"),
    [
        (MemoryError(), True, False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error"), False, False),
        (OSError(28, "No space left on device"), False, False),
    ],
)
def test_errors_of_memory_and_of_a_card_are_told_from_those_of_a_program(error, memory, lost):
    assert process.is_out_of_memory(error) == memory
    assert process.has_lost_device(error) == lost


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_part_of_a_card_is_all_that_is_taken():
    process.prepare(1, gpus=0.25)
    assert torch.cuda.get_per_process_memory_fraction() == 0.25
    torch.cuda.set_per_process_memory_fraction(1.0)
