"""Notes of a study: named texts kept in its search store, for every machine that continues it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from optuna.storages import RDBStorage

from sweeper.records import Stage

STAGES: tuple[Stage, ...] = ("screen", "confirm")  # an Optuna study each
PREFIX = "sweeper."


class Ask(Protocol):
    """A way to call a database: once, or with retries."""

    def __call__(self, action: Callable[[], Any], /) -> Any:
        """Do `action` and return what it returns."""


class Notes:
    """Texts by name, kept as attributes of one Optuna study; read anew each time, since another process may write."""

    def __init__(self, storage: RDBStorage, study_id: int, ask: Ask) -> None:
        self._storage, self._study_id, self._ask = storage, study_id, ask

    def read(self, name: str) -> str | None:
        """Return a note, None where there is none."""
        text = self._ask(lambda: self._storage.get_study_user_attrs(self._study_id)).get(PREFIX + name)
        return text if isinstance(text, str) else None

    def write(self, name: str, text: str) -> None:
        """Keep a note in place of the one before."""
        self._ask(lambda: self._storage.set_study_user_attr(self._study_id, PREFIX + name, text))
