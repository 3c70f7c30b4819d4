"""`sweeper slurm`: its arguments and what it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.arguments import File, Set, at_home
from sweeper.cli.study_argument import study_of
from sweeper.cli.terminal import say, tell
from sweeper.errors import DataError, StudyError

TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")
NAME = re.compile(r"[\w,.-]+")


def slurm(
    file: File,
    set_: Set = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes; more than one are joined by a Ray.")] = 1,
    time: Annotated[str, typer.Option("--time", help="Time limit of one job, as Slurm writes it.")] = "24:00:00",
    cpus: Annotated[int | None, typer.Option("--cpus", min=1, help="Cores of a node.", show_default="slots")] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=0, help="GPUs of a node.", show_default="slots")] = None,
    partition: Annotated[str, typer.Option("--partition", help="Slurm's partition.", show_default=False)] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; default: stdout.", show_default=False, callback=at_home),
    ] = None,
) -> None:
    """Write a Slurm batch script that runs a study. Preempted or out of time, the job is queued again and continues."""
    from sweeper.commands.slurm import batch_script

    study = study_of(file, set_)
    for option, given, pattern in (("--time", time, TIME), ("--partition", partition or "-", NAME)):
        if not pattern.fullmatch(given):
            raise StudyError(f"{option} {given}: not what Slurm writes", "write e.g. --time 2-12:00:00 --partition gpu")
    changes = [word for change in set_ or () for word in ("--set", change)]
    script = batch_script(study, file, Path(sys.executable).parent, nodes, time, cpus, gpus, partition, changes)
    if output is None:
        tell(script, nl=False)
        return
    try:
        output.write_text(script, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}", "give a file in an existing folder") from error
    say(f"{output} written; next: sbatch {output}")
