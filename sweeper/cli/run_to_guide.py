"""What `run` and `retry` do once their arguments are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sweeper.cli.terminal import say, stoppable, tell

if TYPE_CHECKING:
    from sweeper.records import Stage
    from sweeper.study import Study
    from sweeper.workspace import Workspace


def run_to_guide(
    study: Study,
    place: Workspace,
    reports: Path,
    yes: bool,
    address: str | None,
    only: Stage | None = None,
    retry: bool = False,
) -> None:
    """Run a study, print the path of its guide and exit with its code; `yes` skips the confirmation."""
    from rich.console import Console

    from sweeper.commands.run import run
    from sweeper.provenance import command_line

    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        _ask(study)
    command = command_line(sys.argv[1:])
    with stoppable(command):
        result = run(study, place, reports, Console(stderr=True), command, only, address, retry)
    say(result.summary(command))
    if result.guide:
        tell(str(result.guide))
    raise typer.Exit(result.exit_code)


def _ask(study: Study) -> None:
    from sweeper.planning.size import announce

    say(announce(study))
    if not typer.confirm("Start?", default=True, err=True):
        raise typer.Exit(0)
