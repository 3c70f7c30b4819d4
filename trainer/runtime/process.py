"""Settings of a training process (threads, memory, GPU share): made once, before the first tensor, only here."""

from __future__ import annotations

import ctypes

import torch

# Options of glibc's mallopt. Blocks up to 32 MiB are not mapped one by one, and the process keeps up to 256 MiB of
# freed memory.
_KEEP = {-3: 32 << 20, -1: 256 << 20}
_OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
_DEVICE_ERRORS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS")


def prepare(threads: int, gpus: float = 0.0) -> None:
    """Compute on this many threads, without denormals, in memory that is kept; take no more than a share of a GPU."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_memory()
    if 0 < gpus < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpus)


def card_memory(gpus: float) -> tuple[int, int] | None:
    """Return how many bytes of this process's card are used, by all that run on it, and how many it has; None on a CPU.

    Also None where the card does not say.
    """
    if not gpus or not torch.cuda.is_available():
        return None
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError:  # a card that failed: training says so
        return None
    return total - free, total


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, the host's or a card's, is exhausted; not every library has a type for that."""
    by_words = isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)
    return by_words or isinstance(error, (MemoryError, torch.OutOfMemoryError))


def has_lost_device(error: BaseException) -> bool:
    """Whether a card failed under this process, which then can do nothing on it any more; another process may."""
    by_words = isinstance(error, RuntimeError) and str(error).startswith(_DEVICE_ERRORS)
    return (by_words or isinstance(error, torch.AcceleratorError)) and not is_out_of_memory(error)


def keep_memory() -> bool:
    """Make the allocator keep freed memory; return whether it does (glibc's does, others are left unchanged).

    A step frees and allocates the same megabytes again. If they go back to the system in between, every 4 KiB costs a
    page fault.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no such function, or no such thing as one's own symbols
        return False
    return all(mallopt(option, value) == 1 for option, value in _KEEP.items())
