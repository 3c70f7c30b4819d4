"""One block of a model: as an author writes it, and as an index of its taps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

AS_NUMBER = "must be an index from 0, a fraction of the depth such as 0.25, 'all', or a list of these"
ALONE = "must be one block: an index from 0, a fraction of the depth such as 0.25, or a tap's name"
NAME = re.compile(r"[A-Za-z_][\w.]*")  # never a number: those are indices and fractions


def is_block(value: object) -> bool:
    """Whether a value can stand for blocks: an index, a fraction of the depth, or a name."""
    is_index = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_fraction = isinstance(value, float) and 0 <= value <= 1
    return is_index or is_fraction or (isinstance(value, str) and NAME.fullmatch(value) is not None)


def _single(value: object) -> object:
    if not is_block(value) or value == "all":
        raise ValueError(ALONE)
    return value


Index = Annotated[int, Field(ge=0, strict=True)]
Depth = Annotated[float, Field(ge=0, le=1, strict=True)]
TapName = Annotated[str, Field(strict=True)]
SingleBlock = Annotated[Index | Depth | TapName, BeforeValidator(_single)]


def block_index(block: float | str, taps: Sequence[str]) -> int:
    """Resolve one block as written to a 0-based index of a model's taps.

    An int is an index; a float is a fraction of the depth, floor(fraction * depth), with 1.0 the last block; a text is
    a tap's name. Raises ValueError for what the model does not have.
    """
    depth = len(taps)
    if isinstance(block, float):
        return min(int(block * depth), depth - 1)
    if isinstance(block, str):
        if block not in taps or not NAME.fullmatch(block):
            raise ValueError(_known(taps))
        return taps.index(block)
    if not 0 <= block < depth:
        raise ValueError(f"must be within this model's depth {depth}, 0 to {depth - 1}")
    return block


def _known(taps: Sequence[str]) -> str:
    named = [tap for tap in taps if NAME.fullmatch(tap)]
    return f"must be one of this model's taps, {', '.join(named)}" if named else AS_NUMBER
