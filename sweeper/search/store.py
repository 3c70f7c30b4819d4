"""The Optuna store: one study a stage, one Optuna trial a trial, written by the coordinator alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, TypeVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    check_distribution_compatibility,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from sweeper.records import FINAL_STATES, Stage, TrialSpec, TrialState
from sweeper.search.bulk_insert import insert_trials, widen
from sweeper.search.dashboard_notes import describe
from sweeper.search.database import close, open_storage, readable, writable
from sweeper.search.driver_lease import Lease
from sweeper.search.retried_trials import AT_STEP, current, reopen_failed
from sweeper.search.study_notes import Notes
from sweeper.stores.retry import Patience
from sweeper.study import Study

T = TypeVar("T")
Floats = Mapping[str, float]

DROPPED = "dropped by the race"
BESIDE = "second objectives"  # the attribute that holds a trial's, by recorded name
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
    """One trial as the store holds it; `values` are intermediate values by step, `outcome` says why it ended.

    `beside` are its second objectives at the last rung, by recorded name.
    """

    spec: TrialSpec
    trial_id: int
    number: int
    state: TrialState = "waiting"
    outcome: str = ""
    value: float | None = None
    values: dict[int, float] = field(default_factory=dict)
    beside: Floats = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether the trial has ended, so that nothing about it can change."""
        return self.state in FINAL_STATES


class NewTrial(NamedTuple):
    """A trial to come, with its parameters for Optuna; those of one study share their distributions."""

    spec: TrialSpec
    params: Mapping[str, CategoricalChoiceType]
    distributions: Mapping[str, BaseDistribution]


class Store:
    """Writes trials of one Optuna study, created where it does not exist; never reads them again after `load`.

    Every write waits for a store that does not answer, as long as its patience lasts (UnavailableError then), and may
    be repeated after one whose answer was lost.
    """

    def __init__(self, url: str, name: str, patience: Patience | None = None) -> None:
        """Open or create, at once or not at all. Raises SetupError where the store cannot be opened or read."""
        self._url, self._storage = url, open_storage(url)
        self._patience = patience or Patience()
        self._distributions: dict[str, BaseDistribution] = {}
        with readable(url):
            try:
                self._study_id = self._storage.get_study_id_from_name(name)
            except KeyError:
                self._study_id = self._storage.create_new_study([StudyDirection.MINIMIZE], name)
        self.notes = Notes(self._storage, self._study_id, self._write)

    def describe(self, study: Study, stage: Stage) -> None:
        """Name what is minimised, and say what the stage is for, where Optuna's tools show it."""
        self._write(lambda: describe(self._storage, self._study_id, study, stage))

    def load(self) -> tuple[list[Entry], dict[str, BaseDistribution]]:
        """Read every trial in order of creation, and the distributions their parameters were given.

        Raises SetupError where the store is damaged.
        """
        with readable(self._url):
            known = self._storage.get_all_trials(self._study_id, deepcopy=False)
            trials = [trial for trial in current(known) if is_ours(trial)]
            distributions = {
                name: distribution for trial in reversed(trials) for name, distribution in trial.distributions.items()
            }
            self._distributions = distributions
            return [entry_of(trial) for trial in trials], distributions

    def reopen_failed(self) -> None:
        """Let every failed trial wait again; call it before `load`."""
        self._write(lambda: reopen_failed(self._storage, self._study_id))

    def add(self, trials: Sequence[NewTrial], number: int) -> list[Entry]:
        """Append waiting trials in one transaction, `number` being how many there are; call it after `load`.

        Choices may grow, at their end. Raises ValueError where they changed otherwise since the first trial, and adds
        none then.
        """
        templates = [_template(trial) for trial in trials]
        distributions = {
            name: distribution for trial in reversed(trials) for name, distribution in trial.distributions.items()
        }
        for name in distributions.keys() & self._distributions.keys():
            self._fit(name, self._distributions[name], distributions[name])
        self._distributions = {**self._distributions, **distributions}
        attempts = count(1)
        ids = self._write(lambda: self._insert(templates, again=next(attempts) > 1))
        numbered = enumerate(zip(trials, ids, strict=True), start=number)
        return [Entry(trial.spec, trial_id, place) for place, (trial, trial_id) in numbered]

    def _fit(self, name: str, before: BaseDistribution, now: BaseDistribution) -> None:
        if isinstance(before, CategoricalDistribution) and isinstance(now, CategoricalDistribution):
            more = len(now.choices) > len(before.choices)
            if more and before.choices == now.choices[: len(before.choices)]:
                self._write(lambda: widen(self._storage, self._study_id, name, now))
                return
        check_distribution_compatibility(before, now)

    def lease(self, host: str, folder: str) -> Lease:
        """Return the lease of a driver that runs on `host` in `folder`; it does not wait for the store."""
        return Lease(Notes(self._storage, self._study_id, self._write_once), host, folder)

    def start(self, entry: Entry) -> None:
        """Set a waiting trial running."""
        self._write(lambda: self._storage.set_trial_state_values(entry.trial_id, OptunaState.RUNNING))
        entry.state = "running"

    def observe(self, entry: Entry, step: int, value: float, apart: str = "", beside: Floats | None = None) -> None:
        """Keep an intermediate value; one of another metric than those before it is kept `apart`, under that name.

        What is measured `beside` it is written first: a step that is known is not reported again.
        """
        if beside:
            self._write(lambda: self._storage.set_trial_user_attr(entry.trial_id, BESIDE, dict(beside)))
            entry.beside = beside
        if apart:
            name = f"{apart}{AT_STEP}{step}"
            self._write(lambda: self._storage.set_trial_user_attr(entry.trial_id, name, value))
        else:
            self._write(lambda: self._storage.set_trial_intermediate_value(entry.trial_id, step, value))
        entry.values[step] = value

    def mark(self, entry: Entry, outcome: str) -> None:
        """Note an outcome of a trial that has not ended."""
        self._write(lambda: self._storage.set_trial_user_attr(entry.trial_id, "outcome", outcome))
        entry.outcome = outcome

    def finish(self, entry: Entry, state: TrialState, value: float | None, outcome: str) -> None:
        """End a trial."""
        values = None if value is None or not math.isfinite(value) else [value]
        self._write(lambda: self._end(entry.trial_id, _TO_OPTUNA[state], values, outcome))
        entry.state, entry.outcome, entry.value = state, outcome or entry.outcome, value

    def close(self) -> None:
        """Close every connection."""
        close(self._storage)

    def _insert(self, trials: Sequence[FrozenTrial], again: bool) -> list[int]:
        """Append trials and return their ids; `again` after an attempt that may have added some of them."""
        known: dict[str, int] = {}
        if again:
            stored = self._storage.get_all_trials(self._study_id, deepcopy=False)
            known = {trial.user_attrs["key"]: trial._trial_id for trial in current(stored) if is_ours(trial)}
        new = [trial for trial in trials if trial.user_attrs["key"] not in known]
        ids = insert_trials(self._storage, self._study_id, new)
        known |= {trial.user_attrs["key"]: trial_id for trial, trial_id in zip(new, ids, strict=True)}
        return [known[trial.user_attrs["key"]] for trial in trials]

    def _write(self, action: Callable[[], T]) -> T:
        return self._patience.through(lambda: self._write_once(action))

    def _write_once(self, action: Callable[[], T]) -> T:
        with writable(self._url):
            return action()

    def _end(self, trial_id: int, state: OptunaState, values: list[float] | None, outcome: str) -> None:
        # Attributes come first: Optuna refuses them once the state is final.
        try:
            if outcome:
                self._storage.set_trial_user_attr(trial_id, "outcome", outcome)
            self._storage.set_trial_state_values(trial_id, state, values)
        except RuntimeError:  # it has ended: by an attempt whose answer was lost, if it ended so
            if self._storage.get_trial(trial_id).state != state:
                raise


def is_ours(trial: FrozenTrial) -> bool:
    """Whether a trial of an Optuna study is one of ours."""
    return "spec" in trial.user_attrs


def state_of(trial: FrozenTrial) -> TrialState:
    """Return a trial's state; Optuna's PRUNED is split into 'diverged' and 'pruned'."""
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


def entry_of(trial: FrozenTrial) -> Entry:
    """Return a trial as this module knows it."""
    spec = TrialSpec.model_validate(json.loads(trial.user_attrs["spec"]))
    outcome = trial.user_attrs.get("outcome", "")
    values = dict(sorted({**trial.intermediate_values, **_apart(trial)}.items()))
    beside = trial.user_attrs.get(BESIDE, {})
    return Entry(spec, trial._trial_id, trial.number, state_of(trial), outcome, trial.value, values, beside)


def _apart(trial: FrozenTrial) -> dict[int, float]:
    """Return the values that are kept apart, by step."""
    parts = ((name.rpartition(AT_STEP), value) for name, value in trial.user_attrs.items())
    return {int(step): value for (metric, _, step), value in parts if metric and step.isdecimal()}
