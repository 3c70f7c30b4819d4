"""What the confirm stage was begun with, in the search store: chosen once, wherever the study is continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from sweeper.records import Cell
from trainer.recipe import Frozen, Seed

NOTE = "chosen"


class Notes(Protocol):
    """Named texts in the search store."""

    def read(self, name: str) -> str | None:
        """Return a note."""

    def write(self, name: str, text: str) -> None:
        """Keep a note."""


class Finalists(Frozen):
    """The candidates of a finished screen and the fresh seeds they run on."""

    cells: tuple[Cell, ...]
    seeds: tuple[Seed, ...]

    @classmethod
    def keep(cls, notes: Notes, before: Path, choose: Callable[[], Self]) -> Self:
        """Return what is noted, or choose and note it.

        Who is out of the race depends on the order in which trials ended, so a second look might choose otherwise.
        `before` is the file that older versions kept their choice in.
        """
        noted = notes.read(NOTE)
        if noted is not None:
            return cls.model_validate_json(noted)
        chosen = cls._kept_before(before) or choose()
        notes.write(NOTE, chosen.model_dump_json())
        return chosen

    @classmethod
    def _kept_before(cls, path: Path) -> Self | None:
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            return None
