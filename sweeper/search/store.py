"""The Optuna store: one study a stage, one Optuna trial a trial, written by the desk alone."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import SetupError
from sweeper.records import FINAL_STATES, Stage, TrialSpec, TrialState
from sweeper.search.bulk import insert_trials, widen
from sweeper.search.notes import Notes

STAGES: tuple[Stage, ...] = ("screen", "confirm")
DROPPED = "dropped by the race"
AUDITED = "audited: the pruner would have stopped it"

_TO_OPTUNA: dict[TrialState, OptunaState] = {
    "waiting": OptunaState.WAITING,
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "diverged": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}
_FROM_OPTUNA: dict[OptunaState, TrialState] = {
    theirs: ours for ours, theirs in _TO_OPTUNA.items() if ours != "diverged"
}


@dataclass(slots=True)
class Entry:
    """One trial as the store holds it; `values` are intermediate values by step, `outcome` says why it ended."""

    spec: TrialSpec
    trial_id: int
    number: int
    state: TrialState = "waiting"
    outcome: str = ""
    value: float | None = None
    values: dict[int, float] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether the trial has ended, so that nothing about it can change."""
        return self.state in FINAL_STATES


class NewTrial(NamedTuple):
    """A trial to come, with its parameters for Optuna; those of one study share their distributions."""

    spec: TrialSpec
    params: Mapping[str, CategoricalChoiceType]
    distributions: Mapping[str, BaseDistribution]


class _WalConnection(sqlite3.Connection):
    """A SQLite connection that a reader never blocks and a commit never waits on the disk for (12 ms against 118)."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


class _ReadConnection(sqlite3.Connection):
    """A SQLite connection that cannot write."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.execute("PRAGMA query_only=ON")


class Store:
    """Writes trials of one Optuna study, created where it does not exist; never reads them again after `load`."""

    def __init__(self, url: str, name: str) -> None:
        """Open or create. Raises SetupError where the store cannot be opened or read."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._url, self._storage = url, _storage(url, _WalConnection)
        self._distributions: dict[str, BaseDistribution] = {}
        with _readable(url):
            try:
                self._study_id = self._storage.get_study_id_from_name(name)
            except KeyError:
                self._study_id = self._storage.create_new_study([StudyDirection.MINIMIZE], name)
        self.notes = Notes(self._storage, self._study_id)

    def load(self) -> tuple[list[Entry], dict[str, BaseDistribution]]:
        """Read every trial in order of creation, and the distributions their parameters were given.

        Raises SetupError where the store is damaged.
        """
        with _readable(self._url):
            known = self._storage.get_all_trials(self._study_id, deepcopy=False)
            trials = [trial for trial in known if _is_ours(trial)]
            distributions = {name: found for trial in reversed(trials) for name, found in trial.distributions.items()}
            self._distributions = distributions
            return [_entry(trial) for trial in trials], distributions

    def add(self, trials: Sequence[NewTrial], number: int) -> list[Entry]:
        """Append waiting trials in one transaction, `number` being how many there are; call it after `load`.

        Choices may grow, at their end. Raises ValueError where they changed otherwise since the first trial, and adds
        none then.
        """
        templates = [_template(trial) for trial in trials]
        distributions = {name: found for trial in reversed(trials) for name, found in trial.distributions.items()}
        for name in distributions.keys() & self._distributions.keys():
            self._fit(name, self._distributions[name], distributions[name])
        self._distributions = {**self._distributions, **distributions}
        ids = insert_trials(self._storage, self._study_id, templates)
        numbered = enumerate(zip(trials, ids, strict=True), start=number)
        return [Entry(trial.spec, trial_id, place) for place, (trial, trial_id) in numbered]

    def _fit(self, name: str, before: BaseDistribution, now: BaseDistribution) -> None:
        if isinstance(before, CategoricalDistribution) and isinstance(now, CategoricalDistribution):
            more = len(now.choices) > len(before.choices)
            if more and before.choices == now.choices[: len(before.choices)]:
                widen(self._storage, self._study_id, name, now)
                return
        check_distribution_compatibility(before, now)

    def start(self, entry: Entry) -> None:
        """Set a waiting trial running."""
        self._storage.set_trial_state_values(entry.trial_id, OptunaState.RUNNING)
        entry.state = "running"

    def observe(self, entry: Entry, step: int, value: float) -> None:
        """Keep an intermediate value."""
        self._storage.set_trial_intermediate_value(entry.trial_id, step, value)
        entry.values[step] = value

    def mark(self, entry: Entry, outcome: str) -> None:
        """Note an outcome of a trial that has not ended."""
        self._storage.set_trial_user_attr(entry.trial_id, "outcome", outcome)
        entry.outcome = outcome

    def finish(self, entry: Entry, state: TrialState, value: float | None, outcome: str) -> None:
        """End a trial. Attributes come first: Optuna refuses them once the state is final."""
        if outcome:
            self._storage.set_trial_user_attr(entry.trial_id, "outcome", outcome)
        values = None if value is None or not math.isfinite(value) else [value]
        self._storage.set_trial_state_values(entry.trial_id, _TO_OPTUNA[state], values)
        entry.state, entry.outcome, entry.value = state, outcome or entry.outcome, value

    def close(self) -> None:
        """Let go of every connection."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def state_counts(url: str, study_name: str) -> dict[Stage, dict[TrialState, int]]:
    """Count a study's trials by stage and state as its store has them; a stage never opened is left out.

    Optuna's PRUNED is told apart: 'diverged' where the trial says so, else 'pruned'. Nothing is created or changed,
    and a desk may be writing meanwhile. Raises SetupError where the store cannot be read.
    """
    with _reading(url) as storage:
        if storage is None:
            return {}
        with _readable(url):
            studies = {found.study_name: found._study_id for found in storage.get_all_studies()}
            return {
                stage: dict(Counter(_state(trial) for trial in storage.get_all_trials(studies[name], deepcopy=False)))
                for stage in STAGES
                if (name := f"{study_name}.{stage}") in studies
            }


def read_note(url: str, study_name: str, stage: Stage, note: str) -> str | None:
    """Return a note that a stage keeps in its store; None where there is no store, stage or note.

    Raises SetupError where the store cannot be read.
    """
    with _reading(url) as storage:
        if storage is None:
            return None
        with _readable(url):
            studies = {found.study_name: found._study_id for found in storage.get_all_studies()}
            study_id = studies.get(f"{study_name}.{stage}")
            return None if study_id is None else Notes(storage, study_id).read(note)


@contextlib.contextmanager
def _reading(url: str) -> Iterator[RDBStorage | None]:
    """Open a store without writing; None where there is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not _exists(url):
        yield None
        return
    storage = _storage(url, _ReadConnection, read_only=True)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _exists(url: str) -> bool:
    path = make_url(url).database
    if url.startswith("sqlite") and not (path and Path(path).exists()):
        return False
    with _told(url):
        engine = create_engine(url, **_arguments(url, _ReadConnection))
        try:
            return inspect(engine).has_table("version_info")
        finally:
            engine.dispose()


def _storage(url: str, connection: type[sqlite3.Connection], read_only: bool = False) -> RDBStorage:
    with _told(url):
        return RDBStorage(
            url,
            engine_kwargs=_arguments(url, connection),
            skip_table_creation=read_only,
            skip_compatibility_check=read_only,
        )


def _arguments(url: str, connection: type[sqlite3.Connection]) -> dict[str, dict[str, object]]:
    return {"connect_args": {"factory": connection, "timeout": 60}} if url.startswith("sqlite") else {}


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        raise SetupError(
            f"the search store {_shown(url)} cannot be opened: {error.__cause__ or error}",
            "give a SQLite path in a directory that exists, or the URL of a PostgreSQL data base with its driver",
        ) from error


@contextlib.contextmanager
def _readable(url: str) -> Iterator[None]:
    # ValueError and LookupError: rows that are no trials of ours or of this Optuna.
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error, ValueError, LookupError) as error:
        reason = next(iter(str(error.__cause__ or error).splitlines()), type(error).__name__)
        raise SetupError(
            f"the search store {_shown(url)} cannot be read: {reason}",
            "restore it from a copy, or run the study in a new workspace",
        ) from error


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _is_ours(trial: FrozenTrial) -> bool:
    return "spec" in trial.user_attrs


def _state(trial: FrozenTrial) -> TrialState:
    return "diverged" if trial.user_attrs.get("outcome") == "diverged" else _FROM_OPTUNA[trial.state]


def _template(trial: NewTrial) -> FrozenTrial:
    spec = trial.spec
    return create_trial(
        state=OptunaState.WAITING,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs={
            "key": spec.key,
            "cell": spec.cell.key,
            "label": spec.cell.label,
            "seed": spec.seed,
            "spec": spec.model_dump_json(),
        },
    )


def _entry(trial: FrozenTrial) -> Entry:
    spec = TrialSpec.model_validate(json.loads(trial.user_attrs["spec"]))
    outcome = trial.user_attrs.get("outcome", "")
    state, value, values = _state(trial), trial.value, dict(sorted(trial.intermediate_values.items()))
    return Entry(spec, trial._trial_id, trial.number, state, outcome, value, values)
