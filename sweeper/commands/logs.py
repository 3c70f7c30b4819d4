"""`sweeper logs`: what the runs of a study said, and the errors of its trials."""

from __future__ import annotations

from sweeper.commands.run_log import LOG
from sweeper.errors import StudyError
from sweeper.workspace import Workspace

FAILURES = "failures.log"


def logs(study_name: str, workspace: Workspace) -> str:
    """Return a study's log and, below it, the errors of its trials. Raises StudyError where there is neither."""
    folder = workspace.folder(study_name)
    found = [(name, (folder / name)) for name in (LOG, FAILURES)]
    texts = [
        f"== {name} of {study_name}\n{path.read_text(encoding='utf-8', errors='replace').rstrip()}"
        for name, path in found
        if path.is_file()
    ]
    if not texts:
        raise StudyError(f"study {study_name!r} has no log in {workspace.root}", "see `sweeper list`")
    return "\n\n".join(texts)
