"""Random numbers as a pure function of (seed, stream, index): nothing to save, nothing to restore, nothing shared.

On a GPU `trainer.rng.counters` draws the streams BATCH and SAMPLE from the same keys, so that every card has the same;
it draws SAMPLE_STEPS everywhere. torch's generators draw all else. So a GPU trains on other noise than a CPU, in the
same data order.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

import torch


class Stream(IntEnum):
    """The purposes of random numbers. Every result depends on these values: never renumber."""

    INIT = 0
    ORDER = 1
    BATCH = 2
    SAMPLE = 3
    VALIDATION = 4
    REGULARISER = 5
    SAMPLE_STEPS = 6


def generator(seed: int, stream: Stream, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on `device`, the same for the same arguments on the same kind of device."""
    return torch.Generator(device).manual_seed(key(seed, stream, index))


def key(seed: int, stream: Stream, index: int = 0) -> int:
    """Return the 63-bit seed of a stream's generator."""
    digest = hashlib.blake2b(struct.pack("<qqq", seed, int(stream), index), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
