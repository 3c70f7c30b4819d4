"""How a process that trains uses its machine: set once, before the first tensor, and nowhere else."""

from __future__ import annotations

import ctypes

import torch

# Options of glibc's mallopt. Blocks up to 32 MiB are not mapped one by one, and up to 256 MiB of what is freed stay
# with the process.
_KEEP = {-3: 32 << 20, -1: 256 << 20}


def prepare(threads: int) -> None:
    """Compute on this many threads, without denormals, in memory that is kept."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_memory()


def keep_memory() -> bool:
    """Tell the allocator to keep what is freed; return whether it listens (glibc's does, others are left alone).

    A step frees and takes the same megabytes again. Handed back to the system in between, they come with a page
    fault every 4 KiB.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no such function, or no such thing as one's own symbols
        return False
    return all(mallopt(option, value) == 1 for option, value in _KEEP.items())
