"""`sweeper rm`: remove a study's record, checkpoints and kept weights; its guide stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from sweeper.commands.status import watched
from sweeper.errors import ConflictError, StudyError
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.workspace import Workspace

KEPT = ("lock", "holder")  # of a study's folder until its lock is released, which removes the folder


class Removal(NamedTuple):
    """What removing a study would delete: its trials by Optuna, and the bytes in its folder."""

    study: str
    trials: int
    folder_bytes: int

    def describe(self) -> str:
        """Say it in a line."""
        size = f"{self.folder_bytes / 2**20:,.1f} MiB of checkpoints and events"
        return f"{self.study}: {self.trials:,} trials in Optuna and MLflow, their kept weights, {size}"


def removal(study: Study, workspace: Workspace) -> Removal:
    """Look up what would be removed. Raises StudyError where nothing is recorded, ConflictError while it runs."""
    from sweeper.search import state_counts

    _known(study, workspace)
    _, runner, elsewhere = watched(study, workspace)
    if runner or elsewhere:
        where = f"process {runner}" if runner else f"a process on {elsewhere.host}" if elsewhere else ""
        raise ConflictError(f"study {study.name!r} is being run by {where}", "stop it, then remove it")
    folder = workspace.folder(study.name)
    trials = sum(sum(states.values()) for states in state_counts(workspace.store_url, study.name).values())
    return Removal(study.name, trials, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def remove(study: Study, workspace: Workspace) -> None:
    """Remove a study from both stores and from the workspace; which fresh seeds it has seen stays known.

    Done in part, the same call does the rest. Raises as `removal` does, and SetupError for a store without answer.
    """
    from sweeper.ledger import remove_study as remove_from_mlflow
    from sweeper.search import remove_study as remove_from_optuna

    with workspace.lock(study.name):
        _refuse_strangers(_known(study, workspace), workspace)
        remove_from_mlflow(workspace.tracking_uri, study.name, workspace.artifacts)
        remove_from_optuna(workspace.store_url, study.name)
        for entry in workspace.folder(study.name).iterdir():
            if entry.name not in KEPT:
                _delete(entry)


def _known(study: Study, workspace: Workspace) -> Registration:
    known = workspace.registration(study.name)
    if known is None:
        raise StudyError(f"study {study.name!r} is not in {workspace.root}", "see `sweeper list`")
    return known


def _refuse_strangers(known: Registration, workspace: Workspace) -> None:
    """Raise ConflictError where a shared store holds another study of this name."""
    from sweeper.ledger import owner_of

    try:
        owner = owner_of(workspace.tracking_uri, known.study.name)
    except StudyError:
        return
    if known.id and owner.id and owner.id != known.id:
        raise ConflictError(f"the tracking store holds another study of this name: {owner.words}", "remove it there")


def _delete(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
