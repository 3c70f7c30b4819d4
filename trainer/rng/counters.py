"""Counter-based random numbers: number i of a stream is a hash of (key, i), so many streams are drawn at once.

torch's generators need one call per stream, and on a GPU calls dominate the cost. Counters take a few elementwise
operations for all streams together, without the host, and give the same numbers on every kind of device but for the
last digit of the normal ones. The hash is SplitMix64 (Steele, Lea & Flood 2014, fig. 16).

Shapes: R streams.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def uniform(keys_R: Tensor, first: int, count: int) -> Tensor:
    """Return numbers `first` .. `first` + `count` - 1 of each stream, [R, count] in [0, 1), in steps of 2^-24."""
    return _logical_shift(_hashes(keys_R, first, count), 40).to(torch.get_default_dtype()) * 2.0**-24


def normal(keys_R: Tensor, first: int, count: int) -> Tensor:
    """Return `count` standard normal numbers of each stream, [R, count]; takes hashes `first` .. + ceil(count / 2).

    Box & Muller 1958 on the two halves of a hash: no number is beyond 6.8.
    """
    hashes = _hashes(keys_R, first, (count + 1) // 2)
    low = (hashes & 0xFFFFFFFF).to(torch.get_default_dtype())
    high = _logical_shift(hashes, 32).to(torch.get_default_dtype())
    radius = ((high + 0.5) * 2.0**-32).log().mul(-2).sqrt()
    angle = low * (math.tau * 2.0**-32)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]


def _hashes(keys_R: Tensor, first: int, count: int) -> Tensor:
    # int64 products wrap around, as the hash needs.
    steps = torch.arange(first + 1, first + 1 + count, device=keys_R.device) * _signed(GOLDEN)
    x = keys_R[:, None] + steps
    x = (x ^ _logical_shift(x, 30)) * _signed(MIX_1)
    x = (x ^ _logical_shift(x, 27)) * _signed(MIX_2)
    return x ^ _logical_shift(x, 31)


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    # torch's >> copies the sign.
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
