"""`sweeper watch`: its arguments and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import FileOrName, Root, Store, Tracking
from sweeper.cli.study_argument import study_of, workspace_of
from sweeper.cli.terminal import progress_display, tell


def watch(
    file: FileOrName,
    as_json: Annotated[bool, typer.Option("--json", help="Print what it does now as JSON, and end.")] = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Show what a running study does, until it ends. Another process runs it; Ctrl-C ends the view alone."""
    study, place = study_of(file, None, workspace), workspace_of(workspace, tracking, store)
    from contextlib import suppress

    from sweeper.commands.status import status_of
    from sweeper.commands.watch import seen_now
    from sweeper.commands.watch import watch as watch_study
    from sweeper.text.as_json import to_json

    if as_json:
        tell(to_json(seen_now(study, place)))
        return
    with suppress(KeyboardInterrupt):
        with progress_display() as show:
            watch_study(study.name, place, show)
        tell(status_of(study, place).describe())
