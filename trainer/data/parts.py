"""Processing a large array in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

NUMBERS = 2**21  # of a part: 16 MB in double precision


def row_parts(shape: Sequence[int]) -> Iterator[slice]:
    """Return slices of an array's rows that hold about so many numbers each."""
    step = max(1, NUMBERS // max(1, prod(shape[1:])))
    return (slice(start, start + step) for start in range(0, shape[0], step))
