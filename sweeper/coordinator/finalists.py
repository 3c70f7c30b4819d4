"""The finalists as the search store keeps them: chosen once, so a continued study confirms the same settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from pydantic import Field

from sweeper.records import Cell
from sweeper.search import read_note
from sweeper.statistics.looks import Prior
from trainer.recipe import Better, Frozen, Seed

NOTE = "chosen"


class Notes(Protocol):
    """Named texts in the search store."""

    def read(self, name: str) -> str | None:
        """Return a note."""

    def write(self, name: str, text: str) -> None:
        """Keep a note."""


class Finalists(Frozen):
    """The candidates of a finished screen, the most fresh seeds they run on, and how they are judged.

    `looks` are the numbers of seeds after which arms are judged; if empty, they are judged once, after all seeds.
    `directions` maps an arm's key to the direction in which it is tested, as the screen saw it. Versions that wrote
    none for control arms ended these with the settings.
    `least_noise` is a lower bound on the noise of differences, for an objective with discrete values.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[Seed, ...]
    looks: tuple[int, ...] = ()
    directions: dict[str, Better] = Field(default_factory=dict)
    prior: Prior | None = None
    least_noise: float = 0.0

    @property
    def schedule(self) -> tuple[int, ...]:
        """The numbers of seeds after which finalists are judged."""
        return self.looks or (len(self.seeds),)

    @classmethod
    def keep(cls, notes: Notes, before: Path, choose: Callable[[], Self]) -> Self:
        """Return the finalists noted in the store, or choose them and note them there.

        What the race stops depends on the order in which trials ended, so choosing again might differ.
        `before` is the file in which older versions kept their choice.
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


def chosen_before(url: str, study_name: str) -> Finalists | None:
    """Return a study's finalists from the search store at `url`; None if its confirm stage has not begun.

    Raises SetupError where the store cannot be read.
    """
    noted = read_note(url, study_name, "screen", NOTE)
    return None if noted is None else Finalists.model_validate_json(noted)
