"""Randomness as a pure function of (seed, stream, index): nothing to save, nothing to restore, nothing shared."""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

import torch


class Stream(IntEnum):
    """What random numbers are for. Values are part of every result: never renumber."""

    INIT = 0
    ORDER = 1
    BATCH = 2
    SAMPLE = 3
    VALIDATION = 4


def generator(seed: int, stream: Stream, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on `device`, the same for the same arguments on the same kind of device."""
    digest = hashlib.blake2b(struct.pack("<qqq", seed, int(stream), index), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)
