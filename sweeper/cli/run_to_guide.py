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
    notify: str | None = None,
) -> None:
    """Run a study, print the path of its guide and exit with its code; `yes` skips the confirmation.

    `notify` is the webhook or command that is told how it ended.
    """
    from sweeper.commands.notify import Notifier, notifying
    from sweeper.planning.size import announce

    notifier = Notifier(notify, study.name, say) if notify else None

    say(announce(study))  # before anything else is imported, which takes seconds
    if not yes and sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm("Start?", default=True, err=True):
        raise typer.Exit(0)
    from rich.console import Console

    from sweeper.commands.progress import display
    from sweeper.commands.report import verdict
    from sweeper.commands.run import run
    from sweeper.provenance import command_line

    command = command_line(sys.argv[1:])
    with stoppable(command), display(Console(stderr=True)) as show, notifying(notifier, show) as both:
        result = run(study, place, reports, both, command, only, address, retry)
    said = result.summary(command)
    say(said)
    if result.guide:
        said = verdict(result.guide)
        say(said)
        tell(str(result.guide))
    if notifier:
        notifier.send("stopped" if result.interrupted else "ended", f"{study.name}: {said}")
    raise typer.Exit(result.exit_code)
