"""Blocks of a study's model: converting between study files, indices of taps, and labels for readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from trainer.recipe.blocks import AS_NUMBER, NAME, Depth, Index, TapName, block_index, is_block

AsWritten = int | float | str | tuple[int | float | str, ...]


def _one_block(given: object) -> object:
    """Refuse a bad block with one sentence, where pydantic would give one for every member of the union."""
    if not is_block(given):
        raise ValueError(AS_NUMBER)
    return given


def _one_of_several(given: object) -> object:
    if given == "all":
        raise ValueError("must be an index or a fraction of the depth; 'all' stands alone, not in a list")
    return _one_block(given)


def _block_shape(given: object) -> str:
    """Choose the one member of the union that a value is meant for, so that only its mistakes are reported."""
    return "<list>" if isinstance(given, (list, tuple)) else "<one>"


OneBlock = Annotated[Index | Depth | TapName | Literal["all"], BeforeValidator(_one_block)]
BlockList = Annotated[
    tuple[Annotated[Index | Depth | TapName, BeforeValidator(_one_of_several)], ...], Field(min_length=1)
]
Block = Annotated[Annotated[OneBlock, Tag("<one>")] | Annotated[BlockList, Tag("<list>")], Discriminator(_block_shape)]


def block_indices(block: AsWritten, taps: Sequence[str]) -> tuple[int, ...]:
    """Resolve a block as written to 0-based indices of a model's taps.

    An int is an index; a float is a fraction of the depth, floor(fraction * depth), with 1.0 the last block, so the
    paper's depth/4 is 0.25; a text is a tap's name, or 'all' for every one; a list is several. Raises ValueError for
    what the model does not have.

        >>> block_indices(0.25, ["0", "1", "2", "3"]), block_indices("mid", ["down.0", "mid", "up.0"])
        ((1,), (1,))
    """
    if block == "all":
        return tuple(range(len(taps)))
    if isinstance(block, tuple):
        return tuple(sorted({index for one in block for index in block_indices(one, taps)}))
    return (block_index(block, taps),)


def block_name(blocks: Sequence[int], taps: Sequence[str]) -> str:
    """Write blocks for a reader: '2', '0+3', 'mid', 'all'."""
    return "all" if len(blocks) == len(taps) > 1 else "+".join(taps[block] for block in blocks)


def as_written(blocks: Sequence[int], taps: Sequence[str]) -> AsWritten:
    """Write blocks as a study file has them."""
    if len(blocks) == len(taps) > 1:
        return "all"
    named = tuple(taps[block] if NAME.fullmatch(taps[block]) else block for block in blocks)
    return named[0] if len(named) == 1 else named
