"""The commands as functions. What each needs is imported when it is called."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sweeper.errors import SetupError, StudyError, SweeperError
from sweeper.import_path import check_own_code
from sweeper.signals import StoppedError, stoppable

if TYPE_CHECKING:
    from sweeper.api.results import Answer, StudyGuide, StudyRun
    from sweeper.commands.audit import Audited, AuditName
    from sweeper.commands.plan import Forecast
    from sweeper.commands.progress import Show
    from sweeper.commands.status import Status
    from sweeper.guide.atlas.schema import Atlas
    from sweeper.guide.compare.schema import Comparison
    from sweeper.records import Progress, Stage
    from sweeper.render import Format
    from sweeper.study import Study
    from sweeper.workspace import Workspace

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., object])
Changes = Mapping[str, object] | Sequence[str]
File = str | Path
WORKSPACE, REPORTS = ".sweeper", "reports"


def _at_the_edge(function: Function) -> Function:
    """Check that our own packages are imported, and raise errors alone: their causes may hold a store's password.

    A notebook prints and keeps the whole chain of an exception.
    """

    @functools.wraps(function)
    def call(*arguments: object, **options: object) -> object:
        check_own_code()
        try:
            return function(*arguments, **options)
        except SweeperError as error:
            if error.remedy and error.remedy not in getattr(error, "__notes__", ()):
                error.add_note(error.remedy)  # tracebacks and notebooks print it below the message
            raise error from None

    return cast(Function, call)


@_at_the_edge
def load(file: File, changes: Changes = ()) -> Study:
    """Read a study file, with some of its fields changed, as `--set` does; raise StudyError for any mistake in it.

    >>> import sweeper
    >>> study = sweeper.load("studies/smoke.yaml", {"recipe.train.steps": 40, "space.tau": [0.2, 0.5]})
    >>> study.recipe.train.steps, study.space.tau
    (40, (0.2, 0.5))
    """
    from sweeper.study.yaml_files import read_study

    if isinstance(changes, Mapping):
        changes = [f"{name}={_written(value)}" for name, value in changes.items()]
    return read_study(Path(file).expanduser(), changes)


@_at_the_edge
def plan(study: Study) -> Answer[Forecast]:
    """Say what a study will run, and how long that takes on this machine, from a short calibration."""
    from sweeper.api.results import Answer
    from sweeper.commands.plan import describe, forecast
    from sweeper.planning.size import announce

    made = forecast(study)
    return Answer(made, f"{announce(study)}\n{describe(study, made)}")


@_at_the_edge
def run(
    study: Study,
    workspace: File = WORKSPACE,
    reports: File = REPORTS,
    *,
    stage: Stage | None = None,
    retry: bool = False,
    address: str | None = None,
    tracking: str | None = None,
    store: str | None = None,
    progress: Callable[[Progress], object] | None = None,
    notify: str | None = None,
) -> StudyRun:
    """Run a study to its guide, as `sweeper run` does; the same call continues one that was stopped.

    `progress` is called about once a second, in another thread; without it, a notebook shows one line that changes,
    and a script prints lines to stderr. `notify` is a webhook's URL or a shell command, as of `sweeper run
    --notify`; by default the variable SWEEPER_NOTIFY. With `retry`, trials that failed run again. Must be called in
    the main thread, which catches the signals. Ctrl-C, or a notebook's stop button, ends the run cleanly and then
    raises KeyboardInterrupt. Raises the SweeperError of whatever stands in the way.
    """
    from sweeper.api.results import StudyRun
    from sweeper.commands.notify import notifier_of, notifying
    from sweeper.commands.run import run as run_command

    if threading.current_thread() is not threading.main_thread():
        raise SetupError("a study runs in the main thread alone, which catches the signals", "call sweeper.run there")
    call = f"sweeper.run(...)  # study {study.name!r}, from Python"
    notifier = notifier_of(notify or os.environ.get("SWEEPER_NOTIFY"), study.name, log.warning)
    with stoppable(), _showing(progress) as show, notifying(notifier, show) as both:
        place = _workspace(workspace, tracking, store)
        result = run_command(study, place, Path(reports).expanduser(), both, call, stage, address, retry)
    if notifier:
        notifier.tell(result.summary("sweeper.run(...) again"), bool(result.interrupted))
    if result.interrupted:
        stopped = StoppedError(result.interrupted)
        stopped.add_note(result.summary("the same cell, or sweeper.run(...) again"))
        raise stopped
    return StudyRun(study, result)


@_at_the_edge
def status(
    study: Study, workspace: File = WORKSPACE, *, tracking: str | None = None, store: str | None = None
) -> Answer[Status]:
    """Count a study's trials by state, as planned, as Optuna has them and as MLflow has them."""
    from sweeper.api.results import Answer
    from sweeper.commands.status import status_of

    found = status_of(study, _workspace(workspace, tracking, store))
    return Answer(found, found.describe())


@_at_the_edge
def report(
    study: Study | File,
    workspace: File = WORKSPACE,
    reports: File = REPORTS,
    *,
    format: Format = "markdown",
    tracking: str | None = None,
) -> StudyGuide:
    """Write a study's guide again from its record, or from the record.json that lies beside another guide."""
    from sweeper.api.results import StudyGuide
    from sweeper.commands.report import publish, publish_record

    folder = Path(reports).expanduser()
    if isinstance(study, (str, Path)):
        return StudyGuide(publish_record(Path(study).expanduser(), folder, format).guide.parent)
    return StudyGuide(publish(study.name, _workspace(workspace, tracking, None), folder, format).guide.parent)


@_at_the_edge
def open_guide(folder: File) -> StudyGuide:
    """Open a guide that was written before, by its folder; raise StudyError where none lies there.

    >>> import sweeper
    >>> guide = sweeper.open_guide("reports/null")
    >>> guide.trials().groupby("role")["fid_10k"].median().round(1).index.tolist()
    ['baseline', 'grid']
    """
    from sweeper.api.results import StudyGuide

    return StudyGuide(Path(folder).expanduser())


@_at_the_edge
def compare(a: File, b: File, workspace: File = WORKSPACE, *, tracking: str | None = None) -> Answer[Comparison]:
    """Set two studies side by side, each given by its YAML file, its guide's folder, or a record.json."""
    from sweeper.api.results import Answer
    from sweeper.commands.compare import compare as compare_command
    from sweeper.render.comparison import comparison_markdown

    comparison = compare_command(Path(a).expanduser(), Path(b).expanduser(), _workspace(workspace, tracking, None))
    return Answer(comparison, comparison_markdown(comparison), is_markdown=True)


@_at_the_edge
def audit(
    name: AuditName, study: Study, workspace: File = WORKSPACE, *, tracking: str | None = None
) -> Answer[Audited]:
    """Ask what a study's own means are worth: 'proxy', 'pruning', 'seeds' or 'health'; `data.passed` is the gate's."""
    from sweeper.api.results import Answer
    from sweeper.commands.audit import audit as audit_command

    audited = audit_command(name, study.name, _workspace(workspace, tracking, None))
    return Answer(audited, audited.text, is_markdown=True)


@_at_the_edge
def atlas(guides: Iterable[File], out: File = f"{REPORTS}/atlas", *, without: Iterable[str] = ()) -> Answer[Atlas]:
    """Read the records of many studies, and write one page of the rules that hold across them.

    `without` names studies to leave out, each as `name` or `name=why`.
    """
    from sweeper.api.results import Answer
    from sweeper.commands.atlas import make_atlas

    paths = [Path(guide).expanduser() for guide in guides]
    found, page = make_atlas(paths, Path(out).expanduser(), frozenset(without))
    return Answer(found, page.read_text(encoding="utf-8"), is_markdown=True)


def _written(value: object) -> str:
    """Write a value as YAML has it; numbers of numpy and paths are taken as well."""

    def plain(given: object) -> object:
        if isinstance(given, os.PathLike):
            return os.fspath(given)
        if hasattr(given, "tolist"):  # of numpy, torch or pandas
            return given.tolist()
        raise StudyError(
            f"a {type(given).__name__} cannot be a value of a study", "give numbers, texts, lists or dicts"
        )

    return json.dumps(value, ensure_ascii=False, default=plain)


def _workspace(root: File, tracking: str | None, store: str | None) -> Workspace:
    from sweeper.workspace import Workspace

    return Workspace(Path(root).expanduser(), tracking, store)


@contextmanager
def _showing(progress: Callable[[Progress], object] | None) -> Iterator[Show]:
    """Give what shows progress."""
    if progress:
        yield _heard(progress)
        return
    if "ipykernel" in sys.modules:
        yield _in_a_notebook()
        return
    from rich.console import Console

    from sweeper.commands.progress import display

    with display(Console(file=sys.stderr)) as show:
        yield show


def _in_a_notebook() -> Show:
    """Return what shows progress in one output of the cell, which changes, and not in one more every few seconds."""
    from IPython import display as ipython

    from sweeper.commands.progress import Lines, in_words

    lines = Lines()
    shown: Any = ipython.display(ipython.Pretty(""), display_id=True)  # type: ignore[no-untyped-call]

    def show(seen: Progress, /) -> None:
        shown.update(ipython.Pretty(in_words(seen, lines)))  # type: ignore[no-untyped-call]

    return show


def _heard(progress: Callable[[Progress], object]) -> Show:
    """Log what a caller's function raises, once: a run goes on without its display."""
    failed, out = False, sys.stdout

    def show(seen: Progress, /) -> None:
        nonlocal failed
        try:
            # While Tune runs, standard output goes nowhere (`sweeper.placement.tuner`): what it prints, not the caller.
            with contextlib.redirect_stdout(out):
                progress(seen)
        except Exception as error:
            if not failed:
                log.warning("the progress function failed, the run goes on: %s: %s", type(error).__name__, error)
            failed = True

    return show
