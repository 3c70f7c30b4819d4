"""`sweeper slurm`: a batch script that runs a study on an allocation, and continues it after a preemption."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from sweeper.study import Study

WARNING_S = 180  # before the end of the time: a step, a checkpoint, and Ray's own end


def batch_script(
    study: Study,
    file: Path,
    programs: Path,
    nodes: int = 1,
    time: str = "24:00:00",
    cpus: int | None = None,
    gpus: int | None = None,
    partition: str = "",
    options: Sequence[str] = (),
) -> str:
    """Write the script for a study's file; `programs` is the folder of `sweeper`, `ray` and `python`.

    `cpus` and `gpus` are a node's; without them, what the study's slots ask for, or one slot where it names none.
    `options` are further ones of `sweeper run`.
    """
    wanted = study.resources
    slots = math.ceil((wanted.slots or nodes) / nodes)
    template = files("sweeper").joinpath("templates", "slurm.sh.j2").read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(template).render(
        name=study.name,
        file=shlex.quote(str(file)),
        bin=shlex.quote(str(programs)),
        nodes=nodes,
        time=time,
        cpus=cpus or slots * wanted.cpus,
        gpus=math.ceil(slots * wanted.gpus) if gpus is None else gpus,
        partition=partition,
        options="".join(f" {shlex.quote(one)}" for one in options),
        warning_s=WARNING_S,
    )
