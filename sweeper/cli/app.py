"""The commands: arguments in, exit codes out. What a command needs is imported when it is used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli import atlas, encode, kept_models
from sweeper.cli.arguments import (
    Address,
    AsJson,
    AuditName,
    File,
    FromAtlas,
    GuideFormat,
    On,
    Reports,
    Root,
    SchemaOf,
    Set,
    StageName,
    Store,
    TableFormat,
    TemplateName,
    Tracking,
    Yes,
    at_home,
)
from sweeper.cli.import_path import check_own_code
from sweeper.cli.run_to_guide import run_to_guide
from sweeper.cli.terminal import clean_errors, log_inertly, say, tell
from sweeper.errors import StudyError
from sweeper.text.passwords import has_password

if TYPE_CHECKING:
    from sweeper.study import Study
    from sweeper.workspace import Workspace

app = typer.Typer(
    name="sweeper",
    help="Which Dispersive-Loss settings help your diffusion transformer on your data, and how sure can you be?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the study.", callback=at_home)] = Path(
        "study.yaml"
    ),
    template: Annotated[TemplateName, typer.Option("--template", help="What to start from.")] = TemplateName.default,
    atlas_: FromAtlas = None,
) -> None:
    """Write a study to start from."""
    from sweeper.commands.init import write_template

    empty = ", ".join(map(str, write_template(path, template.value, atlas_)))
    fill_in = f"fill in line {empty}, then: " if empty else ""
    say(f"{path} written; next: {fill_in}sweeper check {path}, sweeper run {path}")


@app.command()
def check(file: File, set_: Set = None) -> None:
    """Read a study and its data, and say what is wrong."""
    study = _study(file, set_)
    from sweeper.calibration.preflight import check_fit
    from sweeper.planning.cells import merged_blocks
    from sweeper.planning.size import size
    from sweeper.text.numbers import counted

    planned = size(study)
    check_fit(study, elsewhere=True)  # a study for a cluster is checked on a laptop
    for note in merged_blocks(study):
        say(f"note: {note}")
    tell(f"{file}: ok, {planned.cells} cells on {counted(planned.seeds, 'seed')}, {planned.trials} trials")


@app.command()
def plan(file: File, set_: Set = None, on: On = None, as_json: AsJson = False) -> None:
    """Show what a study will run, and how long that takes on this machine, from a short calibration."""
    study = _study(file, set_)
    from sweeper.planning.size import announce

    if not as_json:
        tell(announce(study))  # before torch is imported, which takes longer than all of this
    if on is not None:
        from sweeper.commands.plan_on import describe_on, estimate_on

        tell(json.dumps(estimate_on(study, on), indent=2) if as_json else describe_on(study, on))
        return
    from sweeper.commands.plan import describe, forecast

    made = forecast(study)
    tell(json.dumps(made._asdict(), indent=2) if as_json else describe(study, made))


@app.command()
def run(
    file: File,
    set_: Set = None,
    stage: Annotated[StageName | None, typer.Option("--stage", help="Run one stage only.")] = None,
    address: Address = None,
    yes: Yes = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
    reports: Reports = Path("reports"),
) -> None:
    """Run a study to its guide; the same command continues one that was stopped."""
    place = _workspace(workspace, tracking, store)
    run_to_guide(_study(file, set_), place, reports, yes, address, only=stage.value if stage else None)


@app.command()
def retry(
    file: File,
    set_: Set = None,
    address: Address = None,
    yes: Yes = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
    reports: Reports = Path("reports"),
) -> None:
    """Run the trials again that failed, and whatever else is not decided."""
    run_to_guide(_study(file, set_), _workspace(workspace, tracking, store), reports, yes, address, retry=True)


@app.command()
def status(
    file: File,
    set_: Set = None,
    as_json: AsJson = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    store: Store = None,
) -> None:
    """Count a study's trials by state, as planned, as Optuna has them and as MLflow has them."""
    study = _study(file, set_)
    from sweeper.commands.status import status_of

    place = _workspace(workspace, tracking, store)
    found = status_of(study, place)
    if registration := place.registration(study.name):
        _say_differences(study, registration.study, f"{file} differs from the record:")
    tell(json.dumps(found.as_json(), indent=2) if as_json else found.describe())


@app.command()
def report(
    file: File,
    set_: Set = None,
    format_: Annotated[
        GuideFormat,
        typer.Option("--format", help="Whose path to print; only LaTeX needs to be asked for."),
    ] = GuideFormat.markdown,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
    reports: Reports = Path("reports"),
) -> None:
    """Write a study's guide again, from its record alone; FILE may be the record.json beside a guide."""
    from sweeper.commands.report import publish, publish_record

    if file.suffix == ".json":
        tell(str(publish_record(file, reports, format_.value).guide))
        return
    study = _study(file, set_)
    written = publish(study.name, _workspace(workspace, tracking, None), reports, format_.value)
    _say_differences(study, written.study, f"{file} differs from the record, which is what is reported:")
    tell(str(written.guide))


@app.command()
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
    """Set two studies side by side: what transfers from one to the other, or who wins on the seeds both have."""
    from sweeper.commands.compare import compare as compare_studies
    from sweeper.render.comparison import comparison_markdown

    found = compare_studies(a, b, _workspace(workspace, tracking, None))
    tell(json.dumps(found.model_dump(mode="json"), indent=2) if as_json else comparison_markdown(found), nl=as_json)


app.command()(atlas.atlas)


@app.command()
def export(
    file: File,
    set_: Set = None,
    format_: Annotated[TableFormat, typer.Option("--format", help="What to write.")] = TableFormat.csv,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; default: CSV to stdout.", show_default=False, callback=at_home
        ),
    ] = None,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Write one row a trial and rung, with every parameter and metric."""
    study = _study(file, set_)
    from sweeper.commands.export import export as export_table

    place = _workspace(workspace, tracking, None)
    export_table(place, study.name, format_.value, output, sys.stdout)


app.command()(kept_models.sample)
app.command()(kept_models.measure)
app.command()(encode.encode)


@app.command()
def ui(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
    workspace: Root = Path(".sweeper"),
) -> None:
    """Open MLflow over the workspace on 127.0.0.1; Ctrl-C ends it."""
    from sweeper.commands.ui import serve

    raise typer.Exit(serve(_workspace(workspace, None, None), port, say))


@app.command()
def audit(
    name: Annotated[AuditName, typer.Argument(metavar="proxy|pruning|seeds|health", show_default=False)],
    file: File,
    set_: Set = None,
    as_json: AsJson = False,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Ask what a study's own means are worth; exit 1 when the gate fails, or cannot be judged."""
    study = _study(file, set_)
    from sweeper.commands.audit import audit as make

    found = make(name.value, study.name, _workspace(workspace, tracking, None))
    tell(found.json if as_json else found.text)
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def schema(
    of: Annotated[SchemaOf, typer.Option("--of", help="What to describe.")] = SchemaOf.study,
) -> None:
    """Print the JSON schema of a study, for editors, or of guide.json and atlas.json, for programs."""
    from sweeper.commands.schema import schema_of

    tell(json.dumps(schema_of(of.value), indent=2))


def main() -> None:
    """Run the command line; a user's mistake ends in one message and its exit code, never in a traceback."""
    log_inertly()
    with clean_errors():
        check_own_code()
        app(prog_name="sweeper")


def _study(file: Path, changes: list[str] | None) -> Study:
    from sweeper.study.yaml_files import read_study

    study = read_study(file, changes or ())
    if has_password(study.model_dump_json(by_alias=True)):
        raise StudyError(f"{file} holds a password in a URL, and a study is published", "take it out")
    return study


def _workspace(root: Path, tracking: str | None, store: str | None) -> Workspace:
    from sweeper.workspace import Workspace

    return Workspace(root, tracking, store)


def _say_differences(study: Study, recorded: Study, says: str) -> None:
    from sweeper.study.fingerprint import changed_fields

    if changed := changed_fields(recorded, study, confirming=True):
        say("\n".join([says, *changed]))
