"""Find a study's registration by id, in the workspace and in both stores, and refuse another study's records."""

from __future__ import annotations

import logging

from sweeper.errors import ConflictError, SetupError, StudyError
from sweeper.ledger import owner_of
from sweeper.search import read_note, state_counts
from sweeper.study import Study
from sweeper.study.fingerprint import changed_fields
from sweeper.study.registration import NOTE, OTHER_NAME, Registration
from sweeper.study.yaml_files import refuse_password
from sweeper.workspace import Workspace

log = logging.getLogger(__name__)


def registered(study: Study, workspace: Workspace) -> Registration:
    """Return the registration of a study that begins, or goes on here or from another machine; nothing is written.

    Records that were made before studies had ids are adopted. Raises ConflictError where a store holds another
    study's records under this name, or settings changed that may not.
    """
    refuse_password(study, f"study {study.name!r}")  # one that was made in Python, not read
    trials = state_counts(workspace.store_url, study.name)
    begun = bool(trials) or workspace.has_events(study.name)
    before = workspace.registration(study.name) if begun else None  # a study without measurements may change freely
    stored = stored_registration(study.name, workspace)
    if before and before.id and stored:
        before.refuse(stored)
    before = stored or before
    if workspace.shares_tracking:
        _refuse_strangers(study, workspace, before, begun)
    new = Registration.of(study, workspace.root)
    if before is None:
        return new
    after = before.continued(study, confirming="confirm" in trials)
    return after if after.id else after.model_copy(update={"id": new.id})


def stored_registration(study_name: str, workspace: Workspace) -> Registration | None:
    """Return the registration that the search store notes under a name; ConflictError where it cannot be read."""
    text = read_note(workspace.store_url, study_name, "screen", NOTE)
    try:
        return Registration.parse(text, workspace.root) if text else None
    except ValueError as error:
        raise ConflictError(
            f"the search store's note of whose study {study_name!r} is cannot be read: another version wrote it",
            f"run it with that version; or {OTHER_NAME}",
        ) from error


def _refuse_strangers(study: Study, workspace: Workspace, before: Registration | None, begun: bool) -> None:
    """Check a tracking store that others use too; the ledger checks the workspace's own when it opens it."""
    try:
        owner = owner_of(workspace.tracking_uri, study.name)
    except StudyError:
        return
    except SetupError as error:
        # Training goes on, and the ledger looks again before it writes.
        log.warning("%s; the study goes on without it: %s", error.message, error.remedy)
        return
    known = before.id if before else None
    adopted = begun and not owner.id and not (owner.study and changed_fields(owner.study, study))
    if owner.id != known and known is None and owner.study and not changed_fields(owner.study, study):
        raise ConflictError(
            f"the tracking store has a record of this study ({owner.words}), and the search store has nothing of it",
            "give the --store it was run with, or restore that database; or give this study another name",
        )
    if owner.id != known and not adopted:
        raise ConflictError(f"the tracking store holds another study of this name: {owner.words}", OTHER_NAME)
