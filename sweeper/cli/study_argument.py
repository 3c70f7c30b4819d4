"""The study and the workspace that a command is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.cli.terminal import say
from sweeper.errors import StudyError

if TYPE_CHECKING:
    from sweeper.study import Study
    from sweeper.workspace import Workspace


def study_of(file: Path, changes: list[str] | None, root: Path | None = None) -> Study:
    """Read a study from its file or, where the workspace at `root` has one of that name, as it was last run there.

    A file is preferred. Raises StudyError for any mistake, and for changes to a study that is given by its name.
    """
    from sweeper.study.yaml_files import read_study

    if root is not None and file.name == str(file) and file.suffix not in (".yaml", ".yml") and not file.exists():
        known = workspace_of(root).registration(file.name)
        if known and changes:
            raise StudyError(f"--set changes a study's file, and {file} is a study's name", "give the file")
        if known:
            return known.study
        remedy = "correct it, write a study with `sweeper init`, or see `sweeper list`"
        raise StudyError(f"{file}: no such file, nor a study of this name in {root}", remedy)
    return read_study(file, changes or ())


def workspace_of(root: Path, tracking: str | None = None, store: str | None = None) -> Workspace:
    """Return the workspace; raise StudyError or SetupError for addresses or a folder that cannot be used."""
    from sweeper.workspace import Workspace

    return Workspace(root, tracking, store)


def say_differences(study: Study, recorded: Study, says: str) -> None:
    """Print in what a study differs from its record, below a line that says so."""
    from sweeper.study.fingerprint import changed_fields

    if changed := changed_fields(recorded, study, confirming=True):
        say("\n".join([says, *changed]))
