"""`sweeper logs`: its arguments and what it prints."""

from __future__ import annotations

from pathlib import Path

from sweeper.cli.arguments import AsJson, FileOrName, Root
from sweeper.cli.study_argument import study_of, workspace_of
from sweeper.cli.terminal import answer


def logs(file: FileOrName, as_json: AsJson = False, workspace: Root = Path(".sweeper")) -> None:
    """Print a study's log. It holds what its runs said over time, and the errors of its trials."""
    study = study_of(file, None, workspace)
    from sweeper.commands.logs import logs as logs_of

    found = logs_of(study.name, workspace_of(workspace))
    answer(found, found.describe, as_json)
