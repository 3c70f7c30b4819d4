"""Arguments and options that several commands share, and the words an option accepts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.terminal import tell
from sweeper.errors import StudyError


class StageName(StrEnum):
    """The stages `run` can be limited to."""

    screen = "screen"
    confirm = "confirm"


class GuideFormat(StrEnum):
    """What `report` writes."""

    markdown = "markdown"
    html = "html"
    latex = "latex"


class ExportFormat(StrEnum):
    """What `export` writes."""

    csv = "csv"
    parquet = "parquet"
    tensorboard = "tensorboard"
    wandb = "wandb"


class AuditName(StrEnum):
    """The audits of a study."""

    proxy = "proxy"
    pruning = "pruning"
    seeds = "seeds"
    health = "health"


class SchemaOf(StrEnum):
    """What `schema` describes."""

    study = "study"
    guide = "guide"
    atlas = "atlas"


class TemplateName(StrEnum):
    """What `init` starts from."""

    default = "default"
    folder = "folder"
    latents = "latents"
    module = "module"
    gpu = "gpu"


def at_home(ctx: typer.Context, param: typer.CallbackParam, path: Path | None) -> Path | None:
    """Expand ~ in a path, as a shell does unless it is quoted; raise StudyError for the home of nobody."""
    if path is None or ctx.resilient_parsing:
        return path
    from trainer.runtime.paths import expanded  # only once we know that this `trainer` is ours

    try:
        return expanded(path)
    except ValueError as error:
        raise StudyError(f"{param.metavar or param.opts[0]}: {error}") from None


def all_home(ctx: typer.Context, param: typer.CallbackParam, paths: list[Path]) -> list[Path]:
    """Expand ~ in every path."""
    return [expanded for path in paths if (expanded := at_home(ctx, param, path)) is not None]


def _say_version(wanted: bool) -> None:
    if wanted:
        from sweeper.provenance import versions

        found = versions()
        ours = found.pop("sweeper")
        tell(f"sweeper {ours} ({', '.join(f'{name} {version}' for name, version in found.items())})")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print versions and exit.")
]
FileOrName = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="The study, a YAML file; or the name of one that the workspace has.",
        show_default=False,
        callback=at_home,
    ),
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The study, a YAML file.", show_default=False, callback=at_home)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Override a field of the study; may be repeated.", show_default=False),
]
FromAtlas = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="ATLAS", help="Take knobs from an atlas's heuristics.", show_default=False, callback=at_home
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="8xH100", help="Estimate for these cards; they need not be present.", show_default=False
    ),
]
Address = Annotated[str | None, typer.Option("--address", help="Address of a Ray cluster; default: this machine.")]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify",
        envvar="SWEEPER_NOTIFY",
        metavar="URL|COMMAND",
        help="Webhook or shell command to tell that the study ended, was stopped or stands still.",
        show_default=False,
        show_envvar=True,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before starting.")]
Root = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="SWEEPER_WORKSPACE",
        help="Folder for records, checkpoints and caches.",
        callback=at_home,
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking", envvar="SWEEPER_TRACKING", help="MLflow server by URL; default: the workspace's own."),
]
Store = Annotated[
    str | None,
    typer.Option("--store", envvar="SWEEPER_STORE", help="Optuna's database by URL; default: the workspace's own."),
]
Reports = Annotated[
    Path,
    typer.Option("--reports", help="Folder for guides, one sub-folder per study.", callback=at_home),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
