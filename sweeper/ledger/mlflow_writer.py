"""Writing events to MLflow's runs.

An experiment is a study; its run with key 'study' is the parent of one run a trial. Runs are found by their key, so
delivering an event twice has one effect (MLflow itself drops a metric equal in name, step, time and value).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mlflow.entities import Metric, Param, Run, RunTag

from sweeper.ledger import events, tags
from sweeper.ledger.live_points import Point
from sweeper.ledger.mlflow_experiment import open_experiment
from sweeper.ledger.mlflow_runs import find_run
from sweeper.ledger.mlflow_states import STUDY_STATUS, TRIAL_STATUS
from sweeper.ledger.trials_view import TAG, view_of
from sweeper.provenance import gather
from sweeper.records import TrialSpec
from sweeper.study import Study
from sweeper.study.registration import Registration


@dataclass
class _Trial:
    """A trial's run as the store has it: its steps, its status, our own word for that, its attempt, its end."""

    run_id: str
    steps: set[int]
    status: str
    state: str | None
    attempt: str | None
    ended: int | None


class Tracker:
    """Deliver a study's events, each of them any number of times with one effect."""

    def __init__(
        self, uri: str, artifacts: Path | None, study_name: str, registration: Registration | None = None
    ) -> None:
        """Connect, and create the database's tables (seconds) and the experiment where they are missing.

        Raises ConflictError where the experiment of this name is another study's than `registration`'s.
        """
        self._client, self._experiment, created = open_experiment(uri, study_name, artifacts, registration)
        self._registration = registration
        self._parent: str | None = None
        self._trials: dict[str, _Trial] = {}
        # As long as every run of the experiment was created here, one that is not known does not exist.
        self._knows_all = created

    def knows_study(self) -> bool:
        """Whether the study was ever delivered to this store."""
        return self._find(tags.STUDY_KEY) is not None

    def forget(self) -> None:
        """Forget cached runs and look each up again: after a failure we do not know what the store did."""
        self._parent, self._knows_all = None, False
        self._trials.clear()

    def accepts_writes(self) -> bool:
        """Whether a harmless write succeeds at this moment."""
        try:
            self._client.set_experiment_tag(self._experiment, "sweeper.probe", "written to test the store")
        except Exception:  # of any kind: the answer is no
            return False
        return True

    def deliver(self, event: events.AnyEvent) -> None:
        """Write an event to MLflow; raises whatever the store raises."""
        match event:
            case events.StudyOpened():
                self._open_study(event)
            case events.StudyTold():
                self._tell_study(self._study(), event.study)
            case events.SeedsChosen():
                self._log(
                    self._study(), {tags.FRESH_SEEDS: json.dumps(event.seeds), tags.LOOKS: json.dumps(event.looks)}
                )
            case events.TrialStarted():
                self._start_trial(event)
            case events.RungReached():
                self._log_rung(event)
            case events.TrialFinished():
                self._end_trial(event)
            case events.StudyEnded():
                self._log(self._study(), {tags.STATE: event.end, **tags.provenance_tags(event.provenance)})
                self._client.set_terminated(self._study(), STUDY_STATUS[event.end], event.at_ms)
            case events.ArtifactMade():
                self._log_artifact(Path(event.path), event.files)
            case events.GuideWritten():
                self._describe(event)
            case events.FileMade():
                raise AssertionError("a file is delivered with its content")

    def deliver_file(self, event: events.FileMade, file: Path) -> None:
        """Attach a file to its trial, under its own name; kept weights are named in a tag as well."""
        run_id = self._trial(event.spec, event.at_ms).run_id
        if file.name == events.WEIGHTS:  # a store without room for a copy says at least that there is one elsewhere
            self._log(run_id, {tags.WEIGHTS: file.name})
        self._client.log_artifact(run_id, str(file))

    def log_live(self, key: str, points: Sequence[Point]) -> bool:
        """Add points to a trial's curves while it trains; return False for one whose start was not delivered yet."""
        if (trial := self._trials.get(key)) is None:
            return False
        metrics = [Metric(tags.LIVE_LOSS, point.loss, point.at_ms, point.step) for point in points]
        metrics += [
            Metric(tags.LIVE_SPEED, point.steps_per_s, point.at_ms, point.step) for point in points if point.steps_per_s
        ]
        self._log(trial.run_id, {}, metrics=metrics)
        return True

    def _open_study(self, event: events.StudyOpened) -> None:
        study, opened = event.study, {tags.STATE: "running", **tags.provenance_tags(event.provenance)}
        opened[tags.ADDED] = json.dumps(event.added)
        # Made with its record in it: a guide, written meanwhile, must not find a study without one.
        run = self._find(tags.STUDY_KEY) or self._create(
            tags.STUDY_KEY, study.name, event.at_ms, {**opened, **tags.study_tags(study)}
        )
        run_id = str(run.info.run_id)
        # MLflow refuses to change a parameter; what a continued study may change is in the record, a tag.
        params = {name: value for name, value in tags.study_params(study).items() if name not in run.data.params}
        self._log(run_id, opened, params)
        self._tell_study(run_id, study)
        if TAG not in self._client.get_experiment(self._experiment).tags:  # else its owner may have changed the view
            self._client.set_experiment_tag(self._experiment, TAG, view_of(study, event.at_ms))
        self._client.update_run(run_id, status="RUNNING")

    def _tell_study(self, run_id: str, study: Study) -> None:
        self._log(run_id, tags.study_tags(study))
        self._client.log_text(run_id, study.model_dump_json(by_alias=True, indent=2), "study.json")

    def _start_trial(self, event: events.TrialStarted) -> None:
        attempt = str(event.attempt)
        trial = self._trial(event.spec, event.at_ms, {tags.ATTEMPT: attempt})
        if trial.ended is not None and event.at_ms <= trial.ended:
            return  # delivered late: another machine has finished it meanwhile
        started = "RUNNING", "running", attempt
        if (trial.status, trial.state, trial.attempt) != started:  # else it was created for this start
            self._log(trial.run_id, {tags.STATE: "running", tags.ATTEMPT: attempt})
            self._client.update_run(trial.run_id, status="RUNNING")
            trial.status, trial.state, trial.attempt, trial.ended = *started, None

    def _log_rung(self, event: events.RungReached) -> None:
        trial = self._trial(event.spec, event.at_ms)
        rung = event.rung
        if rung.step not in trial.steps:
            figures = rung.metrics.items()
            metrics = [Metric(tags.group_of(name), value, event.at_ms, rung.step) for name, value in figures]
            self._log(trial.run_id, tags.rung_tags(rung, event.facts), metrics=metrics)
            trial.steps.add(rung.step)

    def _end_trial(self, event: events.TrialFinished) -> None:
        """End a trial's run; one that ended so before keeps its time: a coordinator opened again repeats its drops."""
        trial, status = self._trial(event.spec, event.at_ms), TRIAL_STATUS[event.state]
        if (trial.status, trial.state) == (status, event.state):
            return
        audited = {tags.AUDITED: "true"} if event.audited else {}
        self._log(trial.run_id, {tags.STATE: event.state, tags.NOTE: event.note[: tags.LENGTH], **audited})
        self._client.set_terminated(trial.run_id, status, event.at_ms)
        trial.status, trial.state, trial.ended = status, event.state, event.at_ms

    def _log_artifact(self, path: Path, files: Sequence[str]) -> None:
        if files:
            found = [path / name for name in files if (path / name).exists()]  # else removed since, by its owner
            for file in found:
                self._client.log_artifact(self._study(), str(file), "guide")
            return
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self._study(), str(path), "guide")

    def _describe(self, event: events.GuideWritten) -> None:
        """Describe the experiment, and give the parent run the metrics that it does not have like this yet."""
        self._client.set_experiment_tag(self._experiment, tags.DESCRIPTION, event.description)
        known = self._client.get_run(self._study()).data.metrics if event.metrics else {}
        metrics = [Metric(name, value, event.at_ms, 0) for name, value in event.metrics.items()]
        if new := [metric for metric in metrics if known.get(metric.key) != metric.value]:
            self._log(self._study(), {}, metrics=new)

    def _log(
        self,
        run_id: str,
        tagged: Mapping[str, str],
        params: Mapping[str, str] = MappingProxyType({}),
        metrics: Sequence[Metric] = (),
    ) -> None:
        logged = [Param(name, value) for name, value in params.items()]
        self._client.log_batch(run_id, metrics, logged, [RunTag(name, value) for name, value in tagged.items()])

    def _study(self) -> str:
        """Return the parent's run id; raises LookupError while no study was opened and none is registered."""
        if self._parent is None:
            run = self._find(tags.STUDY_KEY)
            if run is None and self._registration is not None:  # its opening was lost with a damaged line
                self._open_study(_reopened(self._registration))
                run = self._find(tags.STUDY_KEY)
            if run is None:
                raise LookupError("the study's own run does not exist")
            self._parent = str(run.info.run_id)
        return self._parent

    def _trial(self, spec: TrialSpec, at_ms: int, tagged: Mapping[str, str] = MappingProxyType({})) -> _Trial:
        """Find a trial's run, or create it, with `tagged` beside the tags that every trial has."""
        known = self._trials.get(spec.key)
        if known is None:
            run = None if self._knows_all else self._find(spec.key)
            if run is None:
                name = f"{spec.cell.label}, seed {spec.seed}"
                run = self._create(spec.key, name, at_ms, {**tags.trial_tags(spec, self._study()), **tagged})
            known = _Trial(
                str(run.info.run_id),
                set(tags.rung_steps(run.data.tags)),
                run.info.status,
                run.data.tags.get(tags.STATE),
                run.data.tags.get(tags.ATTEMPT),
                run.info.end_time,
            )
            self._log(known.run_id, {}, tags.trial_params(spec))
            self._trials[spec.key] = known
        return known

    def _create(self, key: str, name: str, at_ms: int, tagged: Mapping[str, str]) -> Run:
        return self._client.create_run(self._experiment, at_ms, {tags.KEY: key, **tagged}, name)

    def _find(self, key: str) -> Run | None:
        return find_run(self._client, self._experiment, key)


def _reopened(registration: Registration) -> events.StudyOpened:
    """Describe, as well as it is known without its event, how a registered study was opened."""
    known = gather("unknown: the event that opened the study was lost")
    known = known.model_copy(update={"started": registration.begun})
    now_ms = int(time.time() * 1000)
    return events.StudyOpened(at_ms=now_ms, study=registration.study, provenance=known, added=registration.added)
