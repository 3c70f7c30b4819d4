"""A study: what its author may write, read from YAML with every mistake told at its place."""

from sweeper.study.controls import Control, Name
from sweeper.study.fresh_seeds import fresh_seeds
from sweeper.study.model import Confirm, Resources, Screen, Study
from sweeper.study.space import Axis, Block, ExtraCell, Range, Space, block_indices, values

__all__ = [
    "Axis",
    "Block",
    "Confirm",
    "Control",
    "ExtraCell",
    "Name",
    "Range",
    "Resources",
    "Screen",
    "Space",
    "Study",
    "block_indices",
    "fresh_seeds",
    "values",
]
