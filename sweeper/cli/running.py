"""What `run` and `retry` do once their arguments are read."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sweeper.signals import stoppable

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
    """Run a study, print the path of its guide and exit with its code; `yes`: without asking."""
    from rich.console import Console

    from sweeper.provenance import command_line
    from sweeper.run import run

    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        _ask(study)
    command = command_line(sys.argv[1:])
    with _stopping(command):
        result = run(study, place, reports, Console(stderr=True), command, only, address, retry)
    typer.echo(result.summary(command), err=True)
    if result.guide:
        typer.echo(str(result.guide))
    raise typer.Exit(result.exit_code)


def _ask(study: Study) -> None:
    from sweeper.plan import announce

    typer.echo(announce(study), err=True)
    if not typer.confirm("Start?", default=True, err=True):
        raise typer.Exit(0)


@contextmanager
def _stopping(command: str) -> Iterator[None]:
    """Exit with a signal's own code, and say what continues, whenever it comes."""
    try:
        with stoppable():
            yield
    except KeyboardInterrupt as stop:
        typer.echo(f"interrupted; the same command continues: {command}", err=True)
        raise typer.Exit(128 + getattr(stop, "number", signal.SIGINT)) from None
