"""What `run` and `retry` do once their arguments are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from sweeper.cli.error_messages import stoppable
from sweeper.cli.terminal import insist, progress_display, say, tell

if TYPE_CHECKING:
    from sweeper.records import Stage
    from sweeper.study import Study
    from sweeper.workspace import Workspace


class RunOptions(NamedTuple):
    """How studies are run: `only` one stage, failed trials again with `retry`, and who is notified how they ended."""

    place: Workspace
    reports: Path
    yes: bool = False
    address: str | None = None
    only: Stage | None = None
    retry: bool = False
    notify: str | None = None


def run_to_guide(study: Study, options: RunOptions) -> None:
    """Run a study, print the path of its guide and exit with its code."""
    from sweeper.planning.size import announce

    say(announce(study))  # before anything else is imported, which takes seconds
    if not confirmed(options.yes):
        raise typer.Exit(0)
    raise typer.Exit(run_one(study, options))


def confirmed(yes: bool) -> bool:
    """Ask whether to start, if somebody is there to answer."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return typer.confirm("Start?", default=True, err=True)


def run_one(study: Study, options: RunOptions) -> int:
    """Run a study, print its verdict and the path of its guide, and return its exit code."""
    from sweeper.commands.notify import notifier_of, notifying
    from sweeper.commands.report import verdict
    from sweeper.commands.run import run
    from sweeper.provenance import command_line

    notifier = notifier_of(options.notify, study.name, insist)
    command = command_line(sys.argv[1:])
    with stoppable(command), progress_display() as show, notifying(notifier, show) as both:
        result = run(study, options.place, options.reports, both, command, options.only, options.address, options.retry)
    said = result.summary(command)
    insist(said) if result.exit_code else say(said)
    if result.guide:
        said = verdict(result.guide)
        say(said)
        tell(str(result.guide))
    if notifier:
        notifier.tell(said, bool(result.interrupted))
    return result.exit_code
