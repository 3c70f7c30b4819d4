"""`sweeper rm`: remove a study's record, checkpoints and kept weights; its guide stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from sweeper.commands.status import watched
from sweeper.commands.study_owner import stored_registration
from sweeper.errors import ConflictError, StudyError
from sweeper.study import Study
from sweeper.study.registration import Registration
from sweeper.workspace import REGISTERED, Workspace

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
    """Look up what would be removed.

    Raises StudyError where nothing is recorded here, ConflictError while it runs, or where a store holds another
    study of this name or nothing of this one.
    """
    trials = _removable(study, workspace)
    folder = workspace.folder(study.name)
    return Removal(study.name, trials, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def remove(study: Study, workspace: Workspace) -> None:
    """Remove a study from both stores and from the workspace; which fresh seeds it has seen stays known.

    Done in part, the same call does the rest. Raises as `removal` does, and SetupError for a store without answer.
    """
    from sweeper.ledger import remove_study as remove_from_mlflow
    from sweeper.search import remove_study as remove_from_optuna

    _removable(study, workspace)  # again: a question to the user may stand for long
    with workspace.lock(study.name):
        remove_from_mlflow(workspace.tracking_uri, study.name, workspace.artifacts)
        remove_from_optuna(workspace.store_url, study.name)
        # The registration last: without it there would be nothing to remove the rest of.
        for entry in sorted(workspace.folder(study.name).iterdir(), key=lambda entry: entry.name == REGISTERED):
            if entry.name not in KEPT:
                _delete(entry)


def _removable(study: Study, workspace: Workspace) -> int:
    """Raise as `removal` does where a study may not be removed; return how many trials Optuna has of it."""
    from sweeper.search import state_counts

    known = _known(study, workspace)
    _refuse_guests(known, workspace)
    _refuse_running(study, workspace)
    trials = sum(sum(states.values()) for states in state_counts(workspace.store_url, study.name).values())
    _refuse_strangers(known, workspace, recorded=bool(trials))
    return trials


def _known(study: Study, workspace: Workspace) -> Registration:
    known = workspace.registration(study.name)
    if known is None:
        raise StudyError(f"study {study.name!r} is not in {workspace.root}", "see `sweeper list`")
    return known


def _refuse_guests(known: Registration, workspace: Workspace) -> None:
    """Raise ConflictError where stores are shared and another workspace began the study: its record is not ours."""
    here = Registration.of(known.study, workspace.root)
    if (workspace.shares_tracking or workspace.shares_store) and (known.host, known.folder) != (here.host, here.folder):
        raise ConflictError(
            f"study {known.study.name!r} was begun in {known.folder} on {known.host}, and others may use its record",
            f"remove it there; to forget it here alone, remove {workspace.folder(known.study.name)}",
        )


def _refuse_running(study: Study, workspace: Workspace) -> None:
    _, runner, elsewhere = watched(study, workspace)
    if runner or elsewhere:
        where = f"process {runner}" if runner else f"a process on {elsewhere.host}" if elsewhere else ""
        raise ConflictError(f"study {study.name!r} is being run by {where}", "stop it, then remove it")


def _refuse_strangers(known: Registration, workspace: Workspace, recorded: bool) -> None:
    """Raise ConflictError where a store holds another study of this name, or where neither has anything of this one."""
    from sweeper.ledger import owner_of

    name, others = known.study.name, []
    try:
        owner = owner_of(workspace.tracking_uri, name)
        others += [(owner.id, owner.words)] if owner.id else []
    except StudyError:
        if not recorded and workspace.has_events(name):
            said = f"neither store has anything of study {name!r}, which was run"
            raise ConflictError(said, "give --tracking and --store as it was run with") from None
    if stored := stored_registration(name, workspace):
        others.append((stored.id, stored.owner))
    for owner_id, words in others:
        if known.id and owner_id != known.id:
            raise ConflictError(f"a store holds another study of this name: {words}", "remove it where it was run")


def _delete(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
