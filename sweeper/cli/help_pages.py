"""What `--help` shows beside the options: the commands in groups, and examples of each.

Plain text on purpose (`rich_markup_mode=None`), so that it reads the same in a log, a pipe and a page of the
documentation; Typer groups commands (`rich_help_panel`) only in its boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from typer.core import TyperCommand, TyperGroup

GROUPS: Mapping[str, Sequence[str]] = {
    "Start": ("init", "check", "plan", "doctor", "schema"),
    "Run": ("run", "retry", "watch", "status", "logs", "list", "rm", "slurm"),
    "Read": ("report", "compare", "across", "atlas", "export", "audit", "ui"),
    "Kept models and data": ("sample", "measure", "encode"),
}

# From a checkout's root; a test parses them all and runs those that need no study to have run.
EXAMPLES: Mapping[str, Sequence[str]] = {
    "init": ("sweeper init mine.yaml", "sweeper init mine.yaml --template folder"),
    "check": (
        "sweeper check studies/block_temp.yaml",
        "sweeper check studies/block_temp.yaml --set recipe.train.steps=600",
    ),
    "plan": ("sweeper plan studies/smoke.yaml", "sweeper plan studies/imagenet256_sit_b2.yaml --on 8xH100"),
    "doctor": ("sweeper doctor", "sweeper doctor --address ray-head:6379"),
    "schema": ("sweeper schema > study.schema.json", "sweeper schema --of guide"),
    "run": (
        "sweeper run studies/smoke.yaml --yes",
        "sweeper run studies/block_temp.yaml --across train.lr=0.004,0.008",
    ),
    "retry": ("sweeper retry studies/smoke.yaml --yes",),
    "watch": ("sweeper watch block_temp",),
    "status": ("sweeper status block_temp", "sweeper status studies/smoke.yaml --json"),
    "logs": ("sweeper logs block_temp",),
    "list": ("sweeper list", "sweeper list --json"),
    "rm": ("sweeper rm smoke --yes",),
    "slurm": ("sweeper slurm studies/block_temp.yaml --time 12:00:00 -o job.sh",),
    "report": (
        "sweeper report block_temp --format html",
        "sweeper report reports/null/record.json --reports elsewhere",
    ),
    "compare": ("sweeper compare reports/block_temp reports/null",),
    "across": ("sweeper across reports/block_temp-lr-0.004 reports/block_temp-lr-0.008",),
    "atlas": ("sweeper atlas reports/null reports/control --out atlas",),
    "export": (
        "sweeper export block_temp > trials.csv",
        "sweeper export block_temp --format parquet -o trials.parquet",
    ),
    "audit": ("sweeper audit pruning block_temp", "sweeper audit seeds block_temp --json"),
    "ui": ("sweeper ui", "sweeper ui --optuna"),
    "sample": (
        "sweeper sample block_temp finalist",
        "sweeper sample block_temp baseline --labels 0,1 -n 20 -o images.npz",
    ),
    "measure": ("sweeper measure block_temp finalist", "sweeper measure block_temp finalist --cfg 1.5"),
    "encode": ("sweeper encode photos latents.npy --autoencoder vae --size 128",),
}

LONGEST = 200  # characters of a first sentence, which is never cut


class Formatter(Protocol):
    """What we use of Typer's help formatter, whose class is public in some of its versions only."""

    def section(self, name: str) -> AbstractContextManager[None]:
        """Begin a section."""

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write a list of definitions."""

    def write(self, string: str) -> None:
        """Write a text as it is."""


class Commands(TyperGroup):
    """The commands, listed in groups."""

    def format_commands(self, ctx: object, formatter: Formatter) -> None:  # noqa: ARG002
        """List every group below a heading of its own, each command with the first sentence of its description."""
        for name, members in GROUPS.items():
            with formatter.section(name):
                formatter.write_dl([(one, self.commands[one].get_short_help_str(LONGEST)) for one in members])


class Command(TyperCommand):
    """A command whose help ends with examples."""

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:  # noqa: ARG002
        """Write each example on a line that nothing wraps, so that it can be copied."""
        with formatter.section("Examples"):
            formatter.write("".join(f"  {example}\n" for example in EXAMPLES[self.name or ""]))
