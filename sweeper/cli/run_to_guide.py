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
    from sweeper.planning.size import announce

    say(announce(study))  # before anything else is imported, which takes seconds
    if not yes and sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm("Start?", default=True, err=True):
        raise typer.Exit(0)
    from rich.console import Console

    from sweeper.commands.progress import display
    from sweeper.commands.report import verdict
    from sweeper.commands.run import run
    from sweeper.provenance import command_line

    command = command_line(sys.argv[1:])
    with stoppable(command), display(Console(stderr=True)) as show:
        result = run(study, place, reports, show, command, only, address, retry)
    say(result.summary(command))
    if result.guide:
        say(verdict(result.guide))
        tell(str(result.guide))
    raise typer.Exit(result.exit_code)
