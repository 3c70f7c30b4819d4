"""`sweeper rm`: its arguments and what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import FileOrName, Root, Store, Tracking
from sweeper.cli.study_argument import study_of, workspace_of
from sweeper.cli.terminal import insist, say
from sweeper.errors import StudyError


def rm(
    file: FileOrName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before removing.")] = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Remove a study from the workspace. Its record, checkpoints and kept weights go; its guide stays."""
    study, place = study_of(file, None, workspace), workspace_of(workspace, tracking, store)
    from sweeper.commands.rm import removal, remove

    told = removal(study, place).describe()
    say(told) if yes else insist(told)  # who is asked should know what for
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise StudyError("nothing was removed: nobody can be asked", "give --yes")
        if not typer.confirm("Remove?", default=False, err=True):
            raise typer.Exit(0)
    remove(study, place)
    say(f"{study.name} is removed; MLflow keeps deleted runs until `mlflow gc`, and fresh seeds it saw stay known")
