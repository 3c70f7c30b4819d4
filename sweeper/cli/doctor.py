"""`sweeper doctor`: its arguments and what it prints."""

from __future__ import annotations

from pathlib import Path

import typer

from sweeper.cli.arguments import Address, AsJson, Root, Store, Tracking
from sweeper.cli.study_argument import workspace_of
from sweeper.cli.terminal import tell
from sweeper.errors import SetupError


def doctor(
    as_json: AsJson = False,
    address: Address = None,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Say whether this machine is ready for a study. It looks at packages, memory, disk, GPU, stores and cluster, says
    what to do, and exits with 3 where a study cannot run.
    """
    from sweeper.commands.doctor import describe, examine
    from sweeper.text.as_json import to_json

    found = []
    for finding in examine(workspace_of(workspace, tracking, store), address):
        found.append(finding)
        if not as_json:
            tell(describe(finding))  # at once: a store or a cluster may take a while to answer
    if as_json:
        tell(to_json(found))
    if any(finding.state == "problem" for finding in found):
        raise typer.Exit(SetupError.exit_code)
