"""What optuna-dashboard shows of a study beside its trials: the objective's name, and a note that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from optuna.storages import RDBStorage

from sweeper.records import Stage
from sweeper.search.database import close, open_storage, reading, writable
from sweeper.search.study_notes import STAGES
from sweeper.study import Study
from sweeper.text.untrusted import inert

# Optuna 5.0's and optuna-dashboard 0.21's own names; a test holds them to what both read.
METRIC_NAMES = "study:metric_names"
NOTE_VERSION, NOTE_PART = "dashboard:note_ver", "dashboard:note_str:"
LENGTH = 2000  # of an attribute, which Optuna keeps in 2048
OURS = "Written by sweeper."


def note_of(study_name: str, stage: Stage, guide: str = "") -> str:
    """Say in markdown what a stage's trials may be used for, and where the guide is once there is one."""
    match stage:
        case "screen":
            says = "Screen, no claim: settings are compared on the seeds they are chosen by, and many end early."
        case "confirm":
            says = "Confirm stage, no claim by itself: its guide tests these few settings on fresh seeds."
        case _:
            assert_never(stage)
    where = f"`{inert(guide).replace('`', '')}`" if guide else f"`sweeper report {study_name}` writes it"
    return f"**{says}** The study's guide: {where}."[: LENGTH - len(OURS) - 2] + f"\n\n{OURS}"


def describe(storage: RDBStorage, study_id: int, study: Study, stage: Stage) -> None:
    """Write the objective's name, and a note where there is none: a user's, or one that names the guide, stays."""
    known, names = storage.get_study_system_attrs(study_id), [study.minimised.name()]
    if known.get(METRIC_NAMES) != names:
        storage.set_study_system_attr(study_id, METRIC_NAMES, names)
    if NOTE_VERSION not in known:
        _write(storage, study_id, note_of(study.name, stage))


def name_guide(url: str, study_name: str, guide: str) -> None:
    """Name a study's guide in the notes of its stages. Raises SetupError where the store cannot be written."""
    with reading(url) as before:
        if before is None:
            return
    storage = open_storage(url)
    try:
        with writable(url):
            studies = {study.study_name: study._study_id for study in storage.get_all_studies()}
            for stage in STAGES:
                study_id = studies.get(f"{study_name}.{stage}")
                if study_id is None:
                    continue
                known, note = storage.get_study_system_attrs(study_id), note_of(study_name, stage, guide)
                if known.get(f"{NOTE_PART}0") != note and (NOTE_VERSION not in known or _is_ours(known)):
                    _write(storage, study_id, note)
    finally:
        close(storage)


def _is_ours(known: Mapping[str, Any]) -> bool:
    return known.get(NOTE_VERSION) == 1 and str(known.get(f"{NOTE_PART}0")).endswith(OURS)


def _write(storage: RDBStorage, study_id: int, note: str) -> None:
    storage.set_study_system_attr(study_id, f"{NOTE_PART}0", note)
    storage.set_study_system_attr(study_id, NOTE_VERSION, 1)  # last: a note is there once it has a version
