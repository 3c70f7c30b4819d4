"""The trials of a stage, indexed by order and state, so that no query slows down as their number grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from sweeper.records import TrialSpec, TrialState
from sweeper.search.store import Entry


class Best(NamedTuple):
    """The complete trial with the lowest objective."""

    trial: TrialSpec
    value: float


class TrialIndex:
    """Every trial by key in order of creation; a change of a trial's state is reported with `moved`."""

    def __init__(self, rank: Callable[[Entry], int]) -> None:
        """Waiting trials of a lower `rank` are first in line, and among equals those created first."""
        self._rank = rank
        self._entries: dict[str, Entry] = {}
        self._states: dict[TrialState, dict[str, Entry]] = {}
        self._line: dict[int, dict[str, Entry]] = {}  # those that wait, by seed
        self._waiting: dict[str, dict[str, Entry]] = {}  # those that wait, by their cell's key
        self._best: Entry | None = None

    def add(self, entry: Entry) -> None:
        """Take up a trial."""
        self._entries[entry.spec.key] = entry
        self._enter(entry)

    def moved(self, entry: Entry, before: TrialState) -> None:
        """Note that a trial's state was `before` and has changed."""
        del self._states[before][entry.spec.key]
        if before == "waiting":
            del self._line[entry.spec.seed][entry.spec.key]
            del self._waiting[entry.spec.cell.key][entry.spec.key]
        self._enter(entry)

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def first_waiting(self) -> Entry | None:
        """Return the trial that is first in line."""
        firsts = (next(iter(line.values())) for line in self._line.values() if line)
        return min(firsts, key=lambda entry: (self._rank(entry), entry.number), default=None)

    def waiting(self) -> Iterable[Entry]:
        """Return the trials that wait, in order of creation."""
        return self._states.get("waiting", {}).values()

    def waiting_on(self, seed: int) -> Iterable[Entry]:
        """Return the trials that wait on a seed, in order of creation."""
        return self._line.get(seed, {}).values()

    def waiting_of(self, cells: Iterable[str]) -> list[Entry]:
        """Return the trials that wait of these cells (keys), in order of creation."""
        entries = [entry for cell in cells for entry in self._waiting.get(cell, {}).values()]
        return sorted(entries, key=lambda entry: entry.number)

    def running(self) -> tuple[Entry, ...]:
        """Return the trials in work, in the order in which they were started."""
        return tuple(self._states.get("running", {}).values())

    def counts(self) -> dict[TrialState, int]:
        """Count trials by state; states that no trial is in are left out."""
        return {state: len(entries) for state, entries in self._states.items() if entries}

    def best(self) -> Best | None:
        """Return the complete trial with the lowest objective, the first of equals, if any is complete."""
        best = self._best
        return None if best is None or best.value is None else Best(best.spec, best.value)

    def states(self) -> Mapping[str, TrialState]:
        """Return every trial's state by key, in order of creation."""
        return {key: entry.state for key, entry in self._entries.items()}

    def _enter(self, entry: Entry) -> None:
        key = entry.spec.key
        self._states.setdefault(entry.state, {})[key] = entry
        if entry.state == "waiting":
            self._line.setdefault(entry.spec.seed, {})[key] = entry
            self._waiting.setdefault(entry.spec.cell.key, {})[key] = entry
        elif entry.state == "complete" and entry.value is not None:
            best = self._best
            if best is None or best.value is None or (entry.value, entry.number) < (best.value, best.number):
                self._best = entry
