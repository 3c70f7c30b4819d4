"""The commands `sample` and `measure`, for models that a study kept."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.arguments import Root, Tracking, at_home
from sweeper.cli.study_argument import study_of
from sweeper.cli.terminal import say, tell
from sweeper.errors import StudyError

if TYPE_CHECKING:
    from trainer.recipe import Scalar
    from trainer.sampling.kept_model import Kept


GRID = "samples.png"


class SolverName(StrEnum):
    """The solvers."""

    euler = "euler"
    heun = "heun"
    euler_maruyama = "euler_maruyama"
    ddim = "ddim"
    ancestral = "ancestral"


What = Annotated[
    Path,
    typer.Argument(
        metavar="WHAT",
        help="A file of kept weights; or a study, by file or name, with TRIAL.",
        show_default=False,
        callback=at_home,
    ),
]
Trial = Annotated[
    str | None,
    typer.Argument(metavar="TRIAL", help="'finalist', 'baseline', or the key of a trial.", show_default=False),
]
Cfg = Annotated[float | None, typer.Option("--cfg", help="Guidance scale; default: the study's.", show_default=False)]
Solver = Annotated[SolverName | None, typer.Option("--solver", help="Default: the study's.", show_default=False)]
Nfe = Annotated[
    int | None, typer.Option("--nfe", help="Network evaluations; default: the study's.", show_default=False)
]
Cpus = Annotated[
    int, typer.Option("--cpus", min=1, help="Cores to use; the same number as the trial gives its figures bit for bit.")
]


def sample(
    what: What,
    trial: Trial = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help=f"A grid (.png), an .npz of x and y, or a folder of PNG images; default: {GRID}.",
            show_default=False,
            callback=at_home,
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="How many images.")] = 40,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="0,1,..", help="Classes to draw, in turn; default: all.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the noise; default: the trial's.", show_default=False)
    ] = None,
    cfg: Cfg = None,
    solver: Solver = None,
    nfe: Nfe = None,
    cpus: Cpus = 1,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Draw images from a model that a study kept. By default they are the trial's own images."""
    from sweeper.commands.kept_models import described, draw

    wanted = _labels(labels)
    if output is None:
        output = Path(GRID)
        if output.exists():
            raise StudyError(f"{output} exists already", "name a file or folder with --output")
    model = _model(what, trial, workspace, tracking)
    draw(model, output, count, wanted, seed, _changes(cfg, solver, nfe), cpus)
    say(f"{count} images of {described(model.origin)}, written to {output}")
    tell(str(output))


def measure(
    what: What,
    trial: Trial = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Samples for FID; default: the study's.", show_default=False)
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="TRIAL",
            help="Compare its tokens with another trial's instead, e.g. baseline: linear CKA by block.",
            show_default=False,
        ),
    ] = None,
    cfg: Cfg = None,
    solver: Solver = None,
    nfe: Nfe = None,
    cpus: Cpus = 1,
    workspace: Root = Path(".sweeper"),
    tracking: Tracking = None,
) -> None:
    """Measure a kept model again. It prints the metrics as JSON, as in its study or with other settings."""
    from sweeper.commands.kept_models import compare
    from sweeper.commands.kept_models import measure as metrics_of
    from sweeper.text.as_json import to_json
    from sweeper.workspace import Workspace

    model = _model(what, trial, workspace, tracking)
    if against is not None:
        if trial is None:
            raise StudyError(f"{what} is a file, and --against names a trial of a study", "give the study and a TRIAL")
        other = _model(what, against, workspace, tracking)
        found = compare(model, other, cpus)
        tell(to_json({"trial": model.origin.trial, "against": other.origin.trial, "cka": found}))
        return
    changes = _changes(cfg, solver, nfe) | ({} if samples is None else {"samples": samples})
    found = metrics_of(model, Workspace(workspace).cache, changes, cpus)
    tell(to_json({"trial": model.origin.trial, "recipe_hash": model.origin.recipe_hash, "metrics": found}))


def _model(what: Path, trial: str | None, root: Path, tracking: str | None) -> Kept:
    from sweeper.commands.kept_models import from_file, from_study

    if what.suffix == ".safetensors":
        if trial is not None:
            raise StudyError(
                f"{what} is the file of one model, so {trial!r} has nothing to choose from", "leave TRIAL out"
            )
        return from_file(what)
    if trial is None:
        raise StudyError(
            f"{what} is a study, and TRIAL is missing", "add 'finalist', 'baseline' or a trial's key after the study"
        )
    from sweeper.workspace import Workspace

    return from_study(study_of(what, None, root).name, trial, Workspace(root, tracking, None))


def _changes(cfg: float | None, solver: SolverName | None, nfe: int | None) -> dict[str, Scalar]:
    given: dict[str, Scalar | None] = {"cfg": cfg, "solver": solver.value if solver else None, "nfe": nfe}
    return {name: value for name, value in given.items() if value is not None}


def _labels(text: str | None) -> list[int] | None:
    try:
        return [int(part) for part in text.split(",")] if text is not None else None
    except ValueError:
        raise StudyError(f"--labels is a list such as 0,1,2, not {text!r}", "change --labels") from None
