"""Removing a study from its search store."""

from __future__ import annotations

from sweeper.search.database import close, open_storage, reading, writable
from sweeper.search.study_notes import STAGES


def remove_study(url: str, study_name: str) -> None:
    """Delete a study's stages from their store; nothing happens where there are none.

    Raises SetupError where the store cannot be written.
    """
    with reading(url) as before:
        if before is None:
            return
    storage = open_storage(url)
    try:
        with writable(url):
            studies = {study.study_name: study._study_id for study in storage.get_all_studies()}
            for stage in STAGES:
                if (study_id := studies.get(f"{study_name}.{stage}")) is not None:
                    storage.delete_study(study_id)
    finally:
        close(storage)
