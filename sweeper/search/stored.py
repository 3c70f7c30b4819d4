"""What a search store holds, read by commands while nobody, or somebody else, writes it."""

from __future__ import annotations

from collections import Counter

from sweeper.records import Stage, TrialState
from sweeper.search.database import readable, reading
from sweeper.search.driver_lease import LASTS_S, Holder, parse_holder
from sweeper.search.driver_lease import NAME as LEASE
from sweeper.search.retried_trials import current
from sweeper.search.store import entry_of, is_ours, state_of
from sweeper.search.study_notes import STAGES, Notes


def state_counts(url: str, study_name: str) -> dict[Stage, dict[TrialState, int]]:
    """Count a study's trials by stage and state as its store has them; a stage never opened is left out.

    Optuna's PRUNED is split: 'diverged' where the trial says so, else 'pruned'. Nothing is created or changed,
    and a coordinator may be writing meanwhile. Raises SetupError where the store cannot be read.
    """
    with reading(url) as storage:
        if storage is None:
            return {}
        with readable(url):
            studies = {found.study_name: found._study_id for found in storage.get_all_studies()}
            return {
                stage: dict(Counter(map(state_of, current(storage.get_all_trials(studies[name], deepcopy=False)))))
                for stage in STAGES
                if (name := f"{study_name}.{stage}") in studies
            }


def stored_outcomes(url: str, study_name: str, stage: Stage) -> dict[str, tuple[TrialState, float | None]]:
    """Return a stage's trials as its store has them: state and, of a complete one, its objective, by key.

    {} for a stage never opened.

    Raises SetupError where the store cannot be read.
    """
    with reading(url) as storage:
        if storage is None:
            return {}
        with readable(url):
            studies = {found.study_name: found._study_id for found in storage.get_all_studies()}
            study_id = studies.get(f"{study_name}.{stage}")
            trials = () if study_id is None else current(storage.get_all_trials(study_id, deepcopy=False))
            entries = [entry_of(trial) for trial in trials if is_ours(trial)]
            return {
                entry.spec.key: (entry.state, entry.value if entry.state == "complete" else None) for entry in entries
            }


def read_note(url: str, study_name: str, stage: Stage, note: str) -> str | None:
    """Return a note that a stage keeps in its store; None where there is no store, stage or note.

    Raises SetupError where the store cannot be read.
    """
    with reading(url) as storage:
        if storage is None:
            return None
        with readable(url):
            studies = {found.study_name: found._study_id for found in storage.get_all_studies()}
            study_id = studies.get(f"{study_name}.{stage}")
            return None if study_id is None else Notes(storage, study_id, lambda action: action()).read(note)


def driver_of(url: str, study_name: str, now: float) -> Holder | None:
    """Return who holds a study's lease at a time (seconds since 1970); None where nobody does, or it ran out.

    Raises SetupError where the store cannot be read.
    """
    holder = parse_holder(read_note(url, study_name, "screen", LEASE))
    return holder if holder and now < holder.seen + LASTS_S else None
