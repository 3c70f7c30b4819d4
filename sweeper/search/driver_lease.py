"""A study's lease: only one driver runs it at a time, in whatever workspace and on whatever machine."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable

from sweeper.errors import ConflictError, UnavailableError
from sweeper.search.study_notes import Notes
from trainer.recipe import Frozen

NAME = "lease"
LASTS_S = 120.0
RENEW_EVERY_S = 15.0


class Holder(Frozen):
    """A driver, by a token of its own and where it runs, and when it last said so (seconds since 1970)."""

    token: str
    host: str
    folder: str
    seen: float


def parse_holder(note: str | None) -> Holder | None:
    """Parse a lease's note; None where there is no holder, or another version wrote it in another format."""
    try:
        return Holder.model_validate_json(note) if note else None
    except ValueError:
        return None


class Lease:
    """A driver's right to a study's search store, kept there and renewed while it runs.

    A workspace's lock keeps its own drivers apart, so a holder from the same workspace must be dead. The lease of a
    dead driver elsewhere expires.
    """

    def __init__(self, notes: Notes, host: str, folder: str, clock: Callable[[], float] = time.time) -> None:
        self._notes, self._clock = notes, clock
        self._mine = Holder(token=uuid.uuid4().hex, host=host, folder=folder, seen=0.0)

    def acquire(self) -> None:
        """Take the lease; raise ConflictError if another driver holds it."""
        other = self._holder()
        here = other is None or (other.host, other.folder) == (self._mine.host, self._mine.folder)
        if other is not None and not here and (left := other.seen + LASTS_S - self._clock()) > 0:
            raise ConflictError(
                f"the study is being run on {other.host} in {other.folder}",
                f"wait for it, or stop it and run again; if that driver died, run again in {left:.0f} s",
            )
        self._write()

    def renew(self) -> None:
        """Renew the lease from time to time; raise ConflictError if another one has taken the lease.

        While the store does not answer, nobody else can take it either.
        """
        if self._clock() - self._mine.seen < RENEW_EVERY_S:
            return
        with contextlib.suppress(UnavailableError):
            other = self._holder()
            if other is not None and other.token != self._mine.token:
                raise ConflictError(
                    f"the study is now run on {other.host} in {other.folder}", "wait for it; nothing is lost"
                )
            self._write()

    def release(self) -> None:
        """Let the next driver begin at once."""
        with contextlib.suppress(UnavailableError):
            holder = self._holder()
            if holder is not None and holder.token == self._mine.token:
                self._notes.write(NAME, "")

    def _write(self) -> None:
        self._mine = self._mine.model_copy(update={"seen": self._clock()})
        self._notes.write(NAME, self._mine.model_dump_json())

    def _holder(self) -> Holder | None:
        return parse_holder(self._notes.read(NAME))  # of another version: its workspace's lock is all that is left
