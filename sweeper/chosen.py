"""What the confirm stage was begun with, on disk: a choice is made once, however often the study is continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweeper.files import write_whole
from sweeper.records import Cell
from trainer.recipe import Frozen, Seed


class Chosen(Frozen):
    """The candidates of a finished screen and the fresh seeds they run on."""

    cells: tuple[Cell, ...]
    seeds: tuple[Seed, ...]

    @classmethod
    def keep(cls, path: Path, cells: Callable[[], tuple[Cell, ...]], seeds: Callable[[], tuple[int, ...]]) -> Chosen:
        """Return what lies at `path`, or choose and write it there.

        Who is out of the race depends on the order in which trials ended, so a second look might choose otherwise.
        """
        if path.exists():
            return cls.model_validate_json(path.read_text())
        chosen = cls(cells=cells(), seeds=seeds())
        write_whole(path, chosen.model_dump_json())
        return chosen
