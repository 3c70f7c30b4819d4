"""Rebuild a study's record from all of its events, or complete a store's record from the undelivered ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from sweeper.ledger import events
from sweeper.records import Facts, Provenance, Rung, StudyRecord, TrialRecord, TrialSpec, TrialState
from sweeper.study import Study


@dataclass
class _Trial:
    spec: TrialSpec
    state: TrialState = "running"
    rungs: dict[int, Rung] = field(default_factory=dict)
    facts: Facts | None = None
    note: str = ""
    audited: bool = False
    weights: str = ""

    @classmethod
    def of(cls, known: TrialRecord) -> _Trial:
        rungs = {rung.step: rung for rung in known.rungs}
        return cls(known.spec, known.state, rungs, known.facts, known.note, known.audited, known.weights)

    def record(self) -> TrialRecord:
        rungs = tuple(self.rungs[step] for step in sorted(self.rungs))
        return TrialRecord(
            spec=self.spec,
            state=self.state,
            rungs=rungs,
            facts=self.facts,
            note=self.note,
            audited=self.audited,
            weights=self.weights,
        )


class Replay:
    """A record that events are added to, each any number of times with one effect, as in the store itself."""

    def __init__(self, known: StudyRecord | None = None) -> None:
        """`known` is the store's record, if there is one."""
        self._study: Study | None = known.study if known else None
        self._provenance: Provenance | None = known.provenance if known else None
        self._added = known.added if known else ()
        self._seeds, self._looks = (known.fresh_seeds, known.looks) if known else ((), ())
        self._trials = {trial.spec.key: _Trial.of(trial) for trial in known.trials} if known else {}

    def record(self) -> StudyRecord | None:
        """Return the record; None while no study was opened."""
        if self._study is None or self._provenance is None:
            return None
        return StudyRecord(
            study=self._study,
            provenance=self._provenance,
            trials=tuple(trial.record() for trial in self._trials.values()),
            fresh_seeds=self._seeds,
            looks=self._looks,
            added=self._added,
        )

    def take(self, made: Iterable[events.AnyEvent]) -> None:
        """Add events in their order."""
        for event in made:
            self._take(event)

    def _take(self, event: events.AnyEvent) -> None:
        match event:
            case events.StudyOpened():
                self._study, self._provenance, self._added = event.study, event.provenance, event.added
            case events.StudyTold():
                self._study = event.study
            case events.SeedsChosen():
                self._seeds, self._looks = event.seeds, event.looks
            case events.TrialStarted():
                self._trial(event.spec).state = "running"
            case events.RungReached():
                trial = self._trial(event.spec)
                trial.rungs.setdefault(event.rung.step, event.rung)
                trial.facts = event.facts
            case events.TrialFinished():
                trial = self._trial(event.spec)
                trial.state, trial.note, trial.audited = event.state, event.note, event.audited or trial.audited
            case events.StudyEnded():
                self._provenance = event.provenance
            case events.FileMade():
                if (name := Path(event.file).name) == events.WEIGHTS:
                    self._trial(event.spec).weights = name
            case events.ArtifactMade() | events.GuideWritten():
                pass  # made from the record
            case _:
                assert_never(event)

    def _trial(self, spec: TrialSpec) -> _Trial:
        return self._trials.setdefault(spec.key, _Trial(spec))
