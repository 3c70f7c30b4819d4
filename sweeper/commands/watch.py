"""`sweeper watch`: the progress of a study that another process runs, shown as that process shows it."""

from __future__ import annotations

import time
from typing import NamedTuple

from sweeper.commands.progress import Show
from sweeper.commands.run_log import last_progress
from sweeper.commands.status import Status, status_of
from sweeper.records import Progress
from sweeper.study import Study
from sweeper.workspace import Workspace

POLL_S = 0.5


class Seen(NamedTuple):
    """A study as it is now: its trials, and what its run last showed where a process of this workspace runs it."""

    status: Status
    progress: Progress | None

    def as_json(self) -> dict[str, object]:
        """Return what `watch --json` prints: what `status --json` does, and the progress."""
        return {**self.status.as_json(), "progress": self.progress}


def seen_now(study: Study, workspace: Workspace) -> Seen:
    """Return a study as it is now, without waiting for anything."""
    status = status_of(study, workspace)
    return Seen(status, last_progress(workspace.folder(study.name)) if status.runner else None)


def watch(study_name: str, workspace: Workspace, show: Show) -> bool:
    """Show a study's progress for as long as a process of this workspace runs it; return whether one ever did."""
    seen = False
    while workspace.runner(study_name):
        seen = True
        if progress := last_progress(workspace.folder(study_name)):
            show(progress)
        time.sleep(POLL_S)
    return seen
