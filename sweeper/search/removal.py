"""Removing a study from its search store."""

from __future__ import annotations

from sweeper.search.database import close, open_storage, reading, writable
from sweeper.search.store import STAGES


def remove_study(url: str, study_name: str) -> int:
    """Delete a study's stages from their store; return how many trials they had. Nothing happens where there are none.

    Raises SetupError where the store cannot be written.
    """
    with reading(url) as before:
        if before is None:
            return 0
    storage = open_storage(url)
    try:
        with writable(url):
            found = {one.study_name: one._study_id for one in storage.get_all_studies()}
            ids = [found[name] for stage in STAGES if (name := f"{study_name}.{stage}") in found]
            count = sum(storage.get_n_trials(study_id) for study_id in ids)
            for study_id in ids:
                storage.delete_study(study_id)
            return count
    finally:
        close(storage)
