"""Refuse a study whose own model's code changed, also where all trials are decided: its guide is of the old code."""

from __future__ import annotations

from sweeper.errors import DataError
from sweeper.study import Study
from sweeper.workspace import Workspace
from trainer.recipe import ModuleRecipe


def refuse_changed_code(study: Study, workspace: Workspace) -> None:
    """Raise DataError where the code of a user's model is not what the study's trials were trained with.

    Where its data are gone, it cannot be built, and the study's guide stands.
    """
    if not isinstance(study.recipe.model, ModuleRecipe):
        return
    from sweeper.calibration.preflight import check_fit
    from sweeper.coordinator.input_hashes import noted_source
    from sweeper.search import read_note

    was = noted_source(lambda name: read_note(workspace.store_url, study.name, "screen", name), study.recipe)
    if not was:
        return
    try:
        now = check_fit(study, elsewhere=True).model.source_sha256
    except DataError:
        return
    if now != was:
        raise DataError(
            f"the code of {study.recipe.model.factory} is not what this study was run with, nor its guide: its hash is "
            f"{now[:16]}, it was {was[:16]}",
            "restore the code, or give the study of the other model another name",
        )
