"""`sweeper watch`: the progress of a study that another process runs, shown as that process shows it."""

from __future__ import annotations

import time

from sweeper.commands.progress import Show
from sweeper.commands.run_log import last_progress
from sweeper.workspace import Workspace

POLL_S = 0.5


def watch(study_name: str, workspace: Workspace, show: Show) -> bool:
    """Show a study's progress for as long as a process of this workspace runs it; return whether one ever did."""
    seen = False
    while workspace.runner(study_name):
        seen = True
        if progress := last_progress(workspace.folder(study_name)):
            show(progress)
        time.sleep(POLL_S)
    return seen
