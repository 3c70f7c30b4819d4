"""The study file: its schema, read from YAML with every mistake reported at its line and column."""

from sweeper.study.baseline_seeds import further_seeds
from sweeper.study.blocks import Block, as_written, block_indices, block_name
from sweeper.study.control_arms import Control, Name
from sweeper.study.fresh_seeds import fresh_seeds
from sweeper.study.space import Axis, ExtraCell, Range, Space, values
from sweeper.study.study import Confirm, Resources, Screen, Study

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
    "as_written",
    "block_indices",
    "block_name",
    "fresh_seeds",
    "further_seeds",
    "values",
]
