"""The progress display: live on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeper.commands.time_left import TimeLeft
from sweeper.records import FINAL_STATES, Activity, Progress, Stage, TrialState
from sweeper.text.numbers import counted, figure, memory_use
from sweeper.text.untrusted import inert

PLAIN_EVERY_S, PLAIN_AT_LEAST_S = 15.0, 600.0
MOST_WORKERS = 12  # with a line each
BAR, BLOCK = 32, 48  # characters
NAMED: tuple[TrialState, ...] = ("pruned", "diverged", "failed", "running")


class Show(Protocol):
    """Where progress is shown."""

    def __call__(self, progress: Progress, /) -> object:
        """Show it."""


class Lines:
    """Writes progress in words."""

    def __init__(self) -> None:
        self._time_left: dict[Stage, TimeLeft] = {}

    def line(self, progress: Progress) -> str:
        """Write in one line: trials done, pruned, running, the lowest so far, time left."""
        counts = progress.counts
        ended, total = _ended(progress), sum(counts.values())
        parts = [f"{progress.stage}: {ended}/{total} trials"]
        parts += [f"{counts[state]} {state}" for state in NAMED if state in counts]
        if progress.lowest:
            parts.append(f"lowest so far {progress.lowest}")
        left = self._time_left.setdefault(progress.stage, TimeLeft()).estimate(
            ended, total - ended, "running" in counts
        )
        return " · ".join([*parts, left] if left else parts)


@contextmanager
def display(console: Console) -> Iterator[Show]:
    """Give a function that shows progress on `console` in the way that suits it."""
    lines = Lines()
    if not console.is_terminal:
        yield plain(lambda text: console.print(text, soft_wrap=True, highlight=False, markup=False), lines)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(screen(progress, lines))


def screen(progress: Progress, lines: Lines) -> RenderableType:
    """Draw the stage's bar, a line for each worker, and what went wrong."""
    total = max(1, sum(progress.counts.values()))
    parts: list[RenderableType] = [
        Text(inert(lines.line(progress))),
        _bar(_ended(progress), total),
        _workers(progress.activities[:MOST_WORKERS]),
    ]
    if (more := len(progress.activities) - MOST_WORKERS) > 0:
        parts.append(Text(f"and {counted(more, 'more worker')}"))
    return Group(*parts, *(Text(inert(message)) for message in progress.messages))


def _bar(ended: int, total: int) -> Table:
    row = Table.grid()  # a bar by itself ends no line
    row.add_row(ProgressBar(total=total, completed=ended, width=BAR))
    return row


def in_words(progress: Progress, lines: Lines) -> str:
    """Write progress as text: the stage's line, one for each worker, and what went wrong."""
    said = map(_said, progress.activities[:MOST_WORKERS])
    workers = (f"  {doing} {label}: {', '.join(filter(None, rest))}" for doing, label, *rest in said)
    return inert("\n".join([lines.line(progress), *workers, *progress.messages]))


def _workers(activities: tuple[Activity, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for activity in activities:
        doing, label, *rest = map(inert, _said(activity))
        shown = label if len(label) <= BLOCK else f"{label[: BLOCK - 1]}…"
        table.add_row(*map(Text, (doing, shown, *rest)))
    return table


def _said(activity: Activity) -> tuple[str, str, str, str, str, str]:
    """Say what a worker does: the activity, its trials, step, rate, loss and its card's memory, '' where not known."""
    step = (
        f"step {activity.step:,}/{activity.until:,}" if activity.doing == "training" else f"at step {activity.step:,}"
    )
    rate = "" if activity.steps_per_s is None else f"{figure(activity.steps_per_s)} steps/s"
    loss = "" if activity.loss is None else f"loss {figure(activity.loss)}"
    card = f"GPU {memory_use(activity.card.used, activity.card.total)}" if activity.card else ""
    return activity.doing, activity.label, step, rate, loss, card


def _ended(progress: Progress) -> int:
    return sum(progress.counts.get(state, 0) for state in FINAL_STATES)


def plain(write: Callable[[str], object], lines: Lines) -> Show:
    """Return a function that writes progress as lines: when something changed, now and then also when nothing did."""
    last_seen: object = None
    said: tuple[str, ...] = ()
    last_time = -PLAIN_AT_LEAST_S

    def show(progress: Progress) -> None:
        nonlocal last_seen, last_time, said
        seen, now = (progress.stage, progress.counts, progress.messages), time.monotonic()
        new = [message for message in progress.messages if message not in said]
        text = inert("\n".join([lines.line(progress) + _speed(progress), *new]))
        since = now - last_time
        if (seen != last_seen and since >= PLAIN_EVERY_S) or since >= PLAIN_AT_LEAST_S:
            write(text)
            last_seen, last_time, said = seen, now, progress.messages

    return show


def _speed(progress: Progress) -> str:
    known = [activity.steps_per_s for activity in progress.activities if activity.steps_per_s is not None]
    return f" · {figure(sum(known))} steps/s" if known else ""
