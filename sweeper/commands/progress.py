"""The progress display: a live line on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweeper.records import FINAL_STATES, Progress, TrialState
from sweeper.text.numbers import duration
from sweeper.text.untrusted import inert

PLAIN_EVERY_S = 15.0
TOLD: tuple[TrialState, ...] = ("pruned", "diverged", "failed", "running")


class Show(Protocol):
    """Where progress is shown."""

    def __call__(self, progress: Progress, /) -> object:
        """Show it."""


class Clock:
    """Estimates how long a study still takes from the trials that finished since it was started."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._before: int | None = None

    def line(self, progress: Progress) -> str:
        """Write in one line: trials done, pruned, running, the lowest mean so far, time left."""
        counts = progress.counts
        finished = sum(counts.get(state, 0) for state in FINAL_STATES)
        if self._before is None:
            self._before = finished
        parts = [f"{progress.stage}: {finished}/{sum(counts.values())} trials"]
        parts += [f"{counts[state]} {state}" for state in TOLD if state in counts]
        if progress.lowest:
            parts.append(f"lowest so far {progress.lowest}")
        return " · ".join([*parts, *self._left(finished, sum(counts.values()) - finished)])

    def _left(self, finished: int, waiting: int) -> list[str]:
        done = finished - (self._before or 0)
        if not done or not waiting:
            return []
        return [f"about {duration((time.monotonic() - self._started) / done * waiting)} left"]


@contextmanager
def display(console: Console) -> Iterator[Show]:
    """Give a function that shows progress on `console` in the way that suits it."""
    clock = Clock()
    if not console.is_terminal:
        yield _plain(console, clock)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def show(progress: Progress) -> None:
            live.update(Text("\n".join(map(inert, [clock.line(progress), *progress.messages]))))

        yield show


def _plain(console: Console, clock: Clock) -> Show:
    last_text, last_time = "", -PLAIN_EVERY_S

    def show(progress: Progress) -> None:
        nonlocal last_text, last_time
        text, now = inert("\n".join([clock.line(progress), *progress.messages])), time.monotonic()
        if text != last_text and now - last_time >= PLAIN_EVERY_S:
            console.print(text, soft_wrap=True, highlight=False, markup=False)
            last_text, last_time = text, now

    return show
