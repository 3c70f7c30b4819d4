"""`sweeper run` and `sweeper retry`: their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import (
    Address,
    FileOrName,
    Notify,
    Reports,
    Root,
    Set,
    StageName,
    Store,
    Tracking,
    Yes,
)
from sweeper.cli.run_to_guide import RunOptions, run_to_guide
from sweeper.cli.study_argument import study_of, workspace_of


def run(
    file: FileOrName,
    set_: Set = None,
    across: Annotated[
        list[str] | None,
        typer.Option(
            "--across",
            metavar="A.B=C,D",
            help="Run the study once for each value of a field of its recipe, and compare; may be repeated.",
            show_default=False,
        ),
    ] = None,
    stage: Annotated[StageName | None, typer.Option("--stage", help="Run one stage only.")] = None,
    address: Address = None,
    yes: Yes = False,
    notify: Notify = None,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
    reports: Reports = Path("reports"),
) -> None:
    """Run a study and write its guide. Run it again to continue a stopped one."""
    place = workspace_of(workspace, tracking, store)
    options = RunOptions(place, reports, yes, address, stage.value if stage else None, notify=notify)
    if not across:
        run_to_guide(study_of(file, set_, workspace), options)
        return
    from sweeper.cli.across import run_across
    from sweeper.study.across import studies_across

    run_across(*studies_across(file, set_ or (), across), options)


def retry(
    file: FileOrName,
    set_: Set = None,
    address: Address = None,
    yes: Yes = False,
    notify: Notify = None,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
    reports: Reports = Path("reports"),
) -> None:
    """Run failed trials again, and whatever else is unfinished."""
    options = RunOptions(workspace_of(workspace, tracking, store), reports, yes, address, retry=True, notify=notify)
    run_to_guide(study_of(file, set_, workspace), options)
