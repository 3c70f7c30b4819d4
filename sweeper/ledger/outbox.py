"""The outbox: a durable, append-only log of events, each written to disk before anyone tries to deliver it.

Three files lie side by side: `<path>` holds every line ever appended, `<path>.mark` the byte up to which they were
delivered, `<path>.rejected` the lines that were refused, with the reason. The holder of the lock on `<path>` owns them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sweeper.errors import ConflictError, SetupError
from trainer.runtime.files import write_whole

LOCK_POLL_S = 0.05


class Entry(NamedTuple):
    """A line of the outbox, without its newline, and the byte after it."""

    line: bytes
    end: int


def lines_of(path: Path, undelivered: bool) -> list[bytes]:
    """Return the lines of a log that another process may own: all, or those `undelivered` when this was called.

    A torn last line is left out; a log that is not there has none.
    """
    try:
        mark = _parsed_mark(path) if undelivered else 0
        with path.open("rb") as file:
            file.seek(mark)
            *lines, _torn = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    return lines


def has_undelivered(path: Path) -> bool:
    """Whether a log, which another process may own, holds whole lines that were not delivered."""
    return bool(lines_of(path, undelivered=True))


def _parsed_mark(path: Path) -> int:
    try:
        return max(0, int(path.with_name(path.name + ".mark").read_text()))
    except (OSError, ValueError):
        return 0


class Outbox:
    """Append lines from any thread; one thread takes them from the front, in order."""

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        """Open or create the log, own it until `close` or the process's death, and cut off a line torn by a crash.

        Raises ConflictError when another owner keeps it for `wait_s` seconds, SetupError for a folder in its place,
        OSError where the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._mark_path = path.with_name(path.name + ".mark")
        self._rejected_path = path.with_name(path.name + ".rejected")
        self._file = _own(path, wait_s)
        self._size = _cut_torn_tail(self._file)
        self._mark = self._read_mark()
        self._changed = threading.Condition()
        self._impatient = False

    def append(self, line: str, durable: bool = False) -> None:
        """Write a line, which may not contain a newline, to the operating system.

        When the call returns the line survives a crash of this process and, if `durable`, of the machine (other lines
        survive that once the kernel has written them back). Raises OSError when the disk is full; the log is then
        as it was before.
        """
        data = line.encode() + b"\n"
        assert data.count(b"\n") == 1, "a line has no newline inside"
        with self._changed:
            if os.write(self._file, data) != len(data):
                os.ftruncate(self._file, self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self._size += len(data)
            self._changed.notify_all()
        if durable:
            os.fdatasync(self._file)

    def first(self, timeout: float) -> Entry | None:
        """Return the oldest undelivered line, waiting up to `timeout` seconds for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._mark < self._size or self._impatient, timeout)
            return self._read_entry() if self._mark < self._size else None

    def delivered(self, entry: Entry) -> None:
        """Move the mark behind `entry`."""
        self._move_mark(entry.end)

    def set_aside(self, entry: Entry, reason: str) -> None:
        """Move `entry` to the rejected lines, with the reason, and go on behind it."""
        note = {"reason": reason, "line": entry.line.decode(errors="replace")}
        with self._rejected_path.open("a") as rejected:
            rejected.write(json.dumps(note) + "\n")
        self._move_mark(entry.end)

    def rewind(self) -> None:
        """Put the mark at the beginning: every line will be delivered again."""
        self._move_mark(0)

    def stop_waiting(self) -> None:
        """Make `first` return at once from now on, including a call that is waiting."""
        with self._changed:
            self._impatient = True
            self._changed.notify_all()

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until everything is delivered; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._mark >= self._size, timeout)

    @property
    def has_history(self) -> bool:
        """Whether some line was delivered before."""
        return self._mark > 0

    @property
    def rejected(self) -> int:
        """How many lines were ever set aside."""
        return self._rejected_path.read_bytes().count(b"\n") if self._rejected_path.is_file() else 0

    def close(self) -> None:
        """Close the log; what is undelivered is found again by the next one to open it."""
        with self._changed:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read_entry(self) -> Entry:
        data = b""
        while b"\n" not in data:
            piece = os.pread(self._file, 1 << 16, self._mark + len(data))
            assert piece, "the log ends with a newline"
            data += piece
        line = data[: data.index(b"\n")]
        return Entry(line, self._mark + len(line) + 1)

    def _read_mark(self) -> int:
        """Return the mark, or 0 (deliver everything again) where it does not fit this log."""
        try:
            mark = int(self._mark_path.read_text())
        except (FileNotFoundError, IsADirectoryError, ValueError):
            return 0
        fits = 0 < mark <= self._size and os.pread(self._file, 1, mark - 1) == b"\n"
        return mark if fits else 0

    def _move_mark(self, mark: int) -> None:
        write_whole(self._mark_path, str(mark), durable=False)  # lost, everything is delivered again
        with self._changed:
            self._mark = mark
            self._changed.notify_all()


def _own(path: Path, wait_s: float) -> int:
    """Open a log and lock it for this owner alone, waiting up to `wait_s` seconds for the one before to let go."""
    if path.is_dir():
        raise SetupError(f"{path} is a folder, where the study's events should be", "move it away, then run again")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    deadline = time.monotonic() + wait_s
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    message = f"{path} is still being written by another process"
                    raise ConflictError(message, "wait some seconds, then run the same command again") from error
            time.sleep(LOCK_POLL_S)
    except BaseException:
        os.close(file)
        raise


def _cut_torn_tail(file: int) -> int:
    """Truncate a log behind its last newline and return its size in bytes."""
    size = os.lseek(file, 0, os.SEEK_END)
    end, step = size, 1 << 16
    while end > 0:
        start = max(0, end - step)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end
