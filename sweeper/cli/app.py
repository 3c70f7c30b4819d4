"""The commands: arguments in, exit codes out. What a command needs is imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli import across, atlas, doctor, encode, kept_models, logs, rm, run, slurm, watch
from sweeper.cli.arguments import (
    AsJson,
    AuditName,
    ExportFormat,
    File,
    FileOrName,
    FromAtlas,
    GuideFormat,
    On,
    Reports,
    Root,
    SchemaOf,
    Set,
    Store,
    TemplateName,
    Tracking,
    Version,
    at_home,
)
from sweeper.cli.error_messages import clean_errors
from sweeper.cli.help_pages import Command, Commands
from sweeper.cli.study_argument import say_differences, study_of, workspace_of
from sweeper.cli.terminal import answer, log_inertly, say, tell
from sweeper.cli.verbosity import Function, with_verbosity
from sweeper.import_path import check_own_code

app = typer.Typer(
    name="sweeper",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(name: str | None = None) -> Callable[[Function], Function]:
    """Return what adds a function as a command; its group and examples are in `sweeper.cli.help_pages`."""

    def add(function: Function) -> Function:
        app.command(name, cls=Command)(with_verbosity(function))
        return function

    return add


@app.callback()
def options(version: Version = False) -> None:
    """Which Dispersive-Loss settings help your diffusion transformer on your data, and how sure can you be?"""


@command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the study.", callback=at_home)] = Path(
        "study.yaml"
    ),
    template: Annotated[TemplateName, typer.Option("--template", help="What to start from.")] = TemplateName.default,
    atlas_: FromAtlas = None,
) -> None:
    """Write a study to start from. It is of digits, or of your own image folder, latents, torch module or GPU."""
    from sweeper.commands.init import write_template

    empty = ", ".join(map(str, write_template(path, template.value, atlas_)))
    fill_in = f"fill in line {empty}, then: " if empty else ""
    say(f"{path} written; next: {fill_in}sweeper check {path}, sweeper run {path}")


@command()
def check(file: File, set_: Set = None, as_json: AsJson = False) -> None:
    """Check a study and its data, and report every mistake."""
    study = study_of(file, set_)
    from sweeper.commands.check import check as check_study

    checked = check_study(study)
    answer(checked, lambda: f"{checked.describe()}\n{file}: ok", as_json)


@command()
def plan(file: File, set_: Set = None, on: On = None, as_json: AsJson = False) -> None:
    """Show what a study will run, and how long that takes. A short calibration times it on this machine."""
    study = study_of(file, set_)
    from sweeper.planning.size import announce

    if not as_json:
        tell(announce(study))  # before torch is imported, which takes longer than all of this
    if on is not None:
        from sweeper.commands.plan_on import describe_on, estimate_on

        answer(estimate_on(study, on), lambda: describe_on(study, on), as_json)
        return
    from sweeper.commands.plan import describe, forecast

    made = forecast(study)
    answer(made, lambda: describe(study, made), as_json)


command()(run.run)
command()(run.retry)


@command()
def status(
    file: FileOrName,
    set_: Set = None,
    as_json: AsJson = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Count a study's trials by state. It counts them as planned, in Optuna and in MLflow."""
    study = study_of(file, set_, workspace)
    from sweeper.commands.status import status_of

    place = workspace_of(workspace, tracking, store)
    found = status_of(study, place)
    if registration := place.registration(study.name):
        say_differences(study, registration.study, f"{file} differs from the record:")
    answer(found, found.describe, as_json)


@command("list")
def list_(as_json: AsJson = False, workspace: Root = Path(".sweeper"), store: Store = None) -> None:
    """List the workspace's studies, and how far each is."""
    from sweeper.commands.list import describe, list_studies

    place = workspace_of(workspace, None, store)
    found = list_studies(place)
    answer(found, lambda: describe(found, place), as_json)


command()(watch.watch)
command()(logs.logs)
command()(rm.rm)


@command()
def report(
    file: FileOrName,
    set_: Set = None,
    format_: Annotated[
        GuideFormat,
        typer.Option("--format", help="The format whose path is printed; LaTeX is written only if named here."),
    ] = GuideFormat.markdown,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    reports: Reports = Path("reports"),
) -> None:
    """Write a study's guide again from its record. FILE may also be a guide's record.json."""
    from sweeper.commands.report import publish, publish_record

    if file.suffix == ".json":
        tell(str(publish_record(file, reports, format_.value).guide))
        return
    study = study_of(file, set_, workspace)
    written = publish(study.name, workspace_of(workspace, tracking), reports, format_.value)
    say_differences(study, written.study, f"{file} differs from the record, which is what is reported:")
    tell(str(written.guide))


@command()
def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A", help="A study, or a guide: guide.json or its folder.", show_default=False, callback=at_home
        ),
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="The other one.", show_default=False, callback=at_home)],
    as_json: AsJson = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Compare two studies. Which effects transfer from one to the other, or which does better on shared seeds?"""
    from sweeper.commands.compare import compare as compare_studies
    from sweeper.render.comparison import comparison_markdown

    comparison = compare_studies(a, b, workspace_of(workspace, tracking))
    answer(comparison, lambda: comparison_markdown(comparison), as_json, nl=False)


command()(atlas.atlas)
command()(across.across)


@command()
def export(
    file: FileOrName,
    set_: Set = None,
    format_: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.csv,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, or a tracker's folder; default: CSV to stdout.",
            show_default=False,
            callback=at_home,
        ),
    ] = None,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    reports: Reports = Path("reports"),
) -> None:
    """Write a table with a row per trial and rung, or copy the study to another tracker."""
    study = study_of(file, set_, workspace)
    from sweeper.commands.export import export as export_record

    place = workspace_of(workspace, tracking)
    export_record(place, study.name, format_.value, output, reports, sys.stdout)


command()(kept_models.sample)
command()(kept_models.measure)
command()(encode.encode)
command()(doctor.doctor)
command()(slurm.slurm)


@command()
def ui(
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Default: 5000; with --optuna 8080.", show_default=False),
    ] = None,
    optuna: Annotated[bool, typer.Option("--optuna", help="Serve optuna-dashboard over the search instead.")] = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Serve the workspace's MLflow on 127.0.0.1. It prints each study's address; Ctrl-C stops it."""
    from sweeper.commands.ui import serve, serve_search

    place = workspace_of(workspace, tracking, store)
    raise typer.Exit(serve_search(place, port or 8080, say) if optuna else serve(place, port or 5000, say))


@command()
def audit(
    name: Annotated[AuditName, typer.Argument(metavar="proxy|pruning|seeds|health", show_default=False)],
    file: FileOrName,
    set_: Set = None,
    as_json: AsJson = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Check how far a study's results can be trusted. It exits with 1 when the check fails or cannot be made."""
    study = study_of(file, set_, workspace)
    from sweeper.commands.audit import audit as make

    audited = make(name.value, study.name, workspace_of(workspace, tracking))
    answer(audited, audited.describe, as_json)
    raise typer.Exit(0 if audited.passed else 1)


@command()
def schema(
    of: Annotated[SchemaOf, typer.Option("--of", help="What to describe.")] = SchemaOf.study,
) -> None:
    """Print the JSON schema of a study or a guide. Editors use a study's, programs that of guide.json or atlas.json."""
    from sweeper.commands.schema import schema_of
    from sweeper.text.as_json import to_json

    tell(to_json(schema_of(of.value)))


def main() -> None:
    """Run the command line; a user's mistake ends in one message and its exit code, never in a traceback."""
    with log_inertly(), clean_errors():
        check_own_code()
        app(prog_name="sweeper")
