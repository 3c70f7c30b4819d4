"""`sweeper status`: a study's trials by state, as planned, in Optuna and in MLflow."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sweeper.planning.size import size
from sweeper.records import FINAL_STATES, Stage, TrialState
from sweeper.study import Study
from sweeper.workspace import Workspace

ORDER: tuple[TrialState, ...] = ("waiting", "running", "complete", "pruned", "diverged", "failed")


class Counts(NamedTuple):
    """Trials by state over all asked stages; `done` when every one of them is decided."""

    states: Mapping[TrialState, int]
    done: bool


def count(study: Study, workspace: Workspace, stages: Sequence[Stage]) -> Counts:
    """Count a study's trials as the search has them; trials it does not have yet are waiting."""
    from sweeper.search import state_counts

    stored = state_counts(workspace.store_url, study.name)
    planned = size(study)
    expected: dict[Stage, int] = {"screen": planned.trials, "confirm": planned.confirm_trials}
    states: Counter[TrialState] = Counter()
    done = True
    for stage in stages:
        found = stored.get(stage, {})
        if found and stage == "confirm":
            missing = _still_due(study, workspace)
        else:  # which cells are confirmed is known once the screen is done; until then the plan's number stands
            missing = max(0, expected[stage] - sum(found.values()))
        states.update(found)
        states["waiting"] += missing
        done = done and not missing and not any(found.get(state) for state in ("waiting", "running"))
    return Counts({state: states[state] for state in ORDER if states[state]}, done)


def _still_due(study: Study, workspace: Workspace) -> int:
    """Return how many trials the confirm stage's next look asks for that the search does not have yet."""
    # Imported when there is a confirm stage: scipy takes a third of a second.
    from sweeper.coordinator.confirm_looks import ConfirmLooks
    from sweeper.coordinator.finalists import chosen_before
    from sweeper.search import stored_outcomes

    chosen = chosen_before(workspace.store_url, study.name)
    if chosen is None or len(chosen.schedule) == 1:
        return 0
    stored = stored_outcomes(workspace.store_url, study.name, "confirm")
    ended = {key: value for key, (state, value) in stored.items() if state in FINAL_STATES}
    return sum(trial.key not in stored for trial in ConfirmLooks(study, chosen).due(ended))


class Driver(NamedTuple):
    """A driver in another workspace or on another machine: its host, the study's folder there, and its last word."""

    host: str
    folder: str
    silent_s: float


class Status(NamedTuple):
    """A study's trials by state, and the two stores' own counts of what has begun or ended.

    `runner` is the process of this workspace that runs it, '' where none does; `elsewhere` is whoever holds the lease
    in the search store otherwise. Where there is neither, what was left running waits.
    """

    study: str
    done: bool
    states: Mapping[TrialState, int]
    optuna: Mapping[TrialState, int]
    mlflow: Mapping[TrialState, int]
    runner: str = ""
    elsewhere: Driver | None = None

    @property
    def agree(self) -> bool:
        """Whether Optuna and MLflow say the same of every trial that has begun or was decided."""
        begun = (*FINAL_STATES, "running")
        return all(self.optuna.get(state, 0) == self.mlflow.get(state, 0) for state in begun)

    def as_json(self) -> dict[str, object]:
        """Return what `status --json` prints."""
        parts = {"states": self.states, "optuna": self.optuna, "mlflow": self.mlflow}
        elsewhere = self.elsewhere._asdict() if self.elsewhere else None
        about = {"study": self.study, "done": self.done, "runner": self.runner, "elsewhere": elsewhere}
        return {**about, **{k: dict(v) for k, v in parts.items()}, "agree": self.agree}

    def describe(self) -> str:
        """Return what `status` prints."""
        listed = ", ".join(f"{number} {state}" for state, number in self.states.items())
        lines = [f"{self.study}: {'done' if self.done else 'not done'}: {listed}"]
        if self.runner:
            lines.append(f"process {self.runner} runs it")
        elif self.elsewhere:
            host, folder, silent_s = self.elsewhere
            lines.append(f"a process on {host} runs it, in {folder}; last heard from {silent_s:.0f} s ago")
        elif not (self.done or self.optuna):
            lines.append("it was never run in this workspace")
        elif not self.done:
            lines.append("nobody runs it from this workspace: 'sweeper run' goes on with what waits")
        if not self.agree and not (self.runner or self.elsewhere):  # else one is a moment ahead
            lines.append(
                f"Optuna has {dict(self.optuna)}, MLflow {dict(self.mlflow)}: run again to bring them together"
            )
        return "\n".join(lines)


def status_of(study: Study, workspace: Workspace) -> Status:
    """Count a study's trials in both stores; one that was never run has none in either."""
    from sweeper.errors import StudyError
    from sweeper.ledger import counts as ledger_counts
    from sweeper.search import state_counts

    totals: Counter[TrialState] = Counter()
    for found in state_counts(workspace.store_url, study.name).values():
        totals.update(found)
    try:
        recorded = ledger_counts(workspace.tracking_uri, study.name)
    except StudyError:
        recorded = {}
    counts, runner, elsewhere = watched(study, workspace)
    return Status(study.name, counts.done, counts.states, _ordered(totals), _ordered(recorded), runner, elsewhere)


def watched(study: Study, workspace: Workspace) -> tuple[Counts, str, Driver | None]:
    """Count a study's trials as the search has them, and find who runs it: a process here, '' for none, or a driver.

    What a run left running while nobody runs the study waits.
    """
    counts = count(study, workspace, ["screen", "confirm"] if study.confirm else ["screen"])
    runner = workspace.runner(study.name)
    elsewhere = None if runner else _elsewhere(study.name, workspace)
    if runner or elsewhere:
        return counts, runner, elsewhere
    return waiting_again(counts), runner, elsewhere


def waiting_again(counts: Counts) -> Counts:
    """Count what a run left running as waiting: nobody runs it."""
    states = dict(counts.states)
    states["waiting"] = states.get("waiting", 0) + states.pop("running", 0)
    return counts._replace(states=_ordered(states))


def _elsewhere(study_name: str, workspace: Workspace) -> Driver | None:
    """Return who holds a study's lease, unless it is a driver of this workspace, whose lock says that it ended."""
    from sweeper.search import driver_of

    now = time.time()
    holder = driver_of(workspace.store_url, study_name, now)
    if holder is None or (holder.host, holder.folder) == (platform.node(), str(workspace.folder(study_name))):
        return None
    return Driver(holder.host, holder.folder, max(0.0, now - holder.seen))


def _ordered(states: Mapping[TrialState, int]) -> dict[TrialState, int]:
    return {state: states[state] for state in ORDER if states.get(state)}
