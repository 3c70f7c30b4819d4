"""Telling somebody that a study ended, was stopped, or stands still: by a webhook or a command of the user's."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from sweeper.commands.progress import Show
from sweeper.errors import StudyError, SweeperError
from sweeper.records import Progress

Happened = Literal["ended", "stopped", "stalled"]
PATIENCE_S = 20.0
STALLED_S = 1800.0  # without a step, a rung or an end; a FID of 50,000 samples on a slow card takes less


class Notifier:
    """Sends a few words to a URL, as the JSON that chats accept (`text`), or to a shell command's standard input.

    The command finds `SWEEPER_EVENT` and `SWEEPER_STUDY` in its environment. A message that cannot be sent is reported
    by `say` and changes nothing. An address of a webhook is a secret: it is never printed.
    """

    def __init__(self, target: str, study_name: str, say: Callable[[str], object]) -> None:
        """Raise StudyError for a URL without a host."""
        self._target, self._study, self._say = target, study_name, say
        self._is_url = target.strip().lower().startswith(("http://", "https://"))
        if not target.strip() or (self._is_url and not _is_address(target)):
            raise StudyError("--notify: neither a URL nor a command", "write https://host/hook or a shell command")

    def send(self, event: Happened, text: str) -> None:
        """Send a message about an event, with the study's name."""
        text = f"{self._study}: {text}"
        try:
            self._post(event, text) if self._is_url else self._call(event, text)
        except (OSError, subprocess.SubprocessError, ValueError, http.client.HTTPException) as error:
            self._say(f"nobody could be notified that the study {event}: {_reason(error)}")

    def tell(self, text: str, stopped: bool) -> None:
        """Send how a run ended."""
        self.send("stopped" if stopped else "ended", text)

    def _post(self, event: Happened, text: str) -> None:
        body = {"text": text, "event": event, "study": self._study}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._target.strip(), json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE_S):
            pass

    def _call(self, event: Happened, text: str) -> None:
        # Ours may hold a store's password, or this address.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEPER_")}
        known: Mapping[str, str] = {**kept, "SWEEPER_EVENT": event, "SWEEPER_STUDY": self._study}
        subprocess.run(
            self._target,
            shell=True,
            check=True,
            input=f"{text}\n".encode(),
            env=known,
            timeout=PATIENCE_S,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a shell repeats what it cannot run, and that may be an address
        )


def notifier_of(target: str | None, study_name: str, say: Callable[[str], object]) -> Notifier | None:
    """Return what tells a target, None where there is none."""
    return Notifier(target, study_name, say) if target else None


class Stall:
    """Sends a message, once each time, when a study makes no step, no rung and no end for `after_s` seconds."""

    def __init__(self, notifier: Notifier, after_s: float = STALLED_S) -> None:
        self._notifier, self._after_s = notifier, after_s
        self._seen: object = None
        self._since, self._said = time.monotonic(), False

    def seen(self, progress: Progress) -> None:
        """Look at a study's progress."""
        now = time.monotonic()
        state = (
            progress.stage,
            progress.counts,
            [(activity.label, activity.doing, activity.step) for activity in progress.activities],
        )
        if state != self._seen:
            self._seen, self._since, self._said = state, now, False
        elif not self._said and now - self._since >= self._after_s:
            self._said = True
            waits = f": {progress.messages[0]}" if progress.messages else ""
            self._notifier.send("stalled", f"nothing has happened for {round((now - self._since) / 60)} minutes{waits}")


@contextmanager
def notifying(notifier: Notifier | None, show: Show) -> Iterator[Show]:
    """Give a function that shows progress and watches it; whatever stops the block by an error is sent."""
    if notifier is None:
        yield show
        return
    stall = Stall(notifier)

    def both(progress: Progress) -> None:
        stall.seen(progress)
        show(progress)

    try:
        yield both
    except SweeperError as error:
        notifier.send("stopped", error.message)
        raise
    except KeyboardInterrupt:
        notifier.send("stopped", "it was interrupted")
        raise
    except Exception as error:  # a bug of ours, or a disk that is full
        notifier.send("stopped", f"it ended with {type(error).__name__}")
        raise


def _is_address(target: str) -> bool:
    try:
        parts = urlsplit(target.strip())
        return bool(parts.hostname) and parts.port != 0 and len(target.split()) == 1
    except ValueError:  # a port that is none, or half an address in brackets
        return False


def _reason(error: Exception) -> str:
    match error:
        case urllib.error.HTTPError():
            return f"the server answered {error.code}"
        case urllib.error.URLError():
            return f"the server cannot be reached: {error.reason}"
        case subprocess.TimeoutExpired():
            return f"the command took more than {PATIENCE_S:.0f} s"
        case subprocess.CalledProcessError():
            return f"the command ended with code {error.returncode}"
        case _:
            return type(error).__name__
