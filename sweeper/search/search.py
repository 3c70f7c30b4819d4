"""Which trials of a stage run next, and which survive a rung."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

from sweeper.errors import ConflictError
from sweeper.planning.trials import rung_steps
from sweeper.records import Cell, Stage, TrialSpec, TrialState
from sweeper.search.driver_lease import Lease
from sweeper.search.eligibility import eligible
from sweeper.search.parameters import Parameters
from sweeper.search.proposals import proposer_of
from sweeper.search.pruning import Pruning, is_audited
from sweeper.search.store import AUDITED, DROPPED, Entry, Floats, NewTrial, Store
from sweeper.search.study_notes import Notes
from sweeper.search.trial_index import Best, TrialIndex
from sweeper.stores.retry import Patience
from sweeper.study import Study
from trainer.recipe import Recipe


class Search:
    """One stage of a study in an Optuna store; a single process may hold it, since it reads the store only once.

    A grid and the confirm stage run the given trials in their order. Random and tpe run them too, and propose
    configurations up to `screen.trials` trials in all: first every configuration on the first seed, then seed after
    seed. Opening the store again continues it: known trials stay, trials given since then are appended.
    """

    def __init__(
        self,
        url: str,
        study: Study,
        stage: Stage,
        trials: Sequence[TrialSpec],
        patience: Patience | None = None,
        retry: bool = False,
    ) -> None:
        """Open or create `<study>.<stage>`. Raises SetupError, StudyError (budget), ConflictError (other choices).

        `patience` is how long a write waits for a store that does not answer; UnavailableError then. With `retry`,
        trials that failed wait again.
        """
        self._study, self._seeds = study, study.screen.seeds
        self._proposer = proposer_of(study, stage, len(trials))
        self._store = Store(url, f"{study.name}.{stage}", patience)
        self._given = {trial.cell.key for trial in trials}
        self._recipes, self._entries = dict[str, Recipe](), TrialIndex(self._rank)
        self._exhausted, self._dropped = False, list[TrialSpec]()
        self._pruning = Pruning(study.screen.pruner if stage == "screen" else "none", study.screen.rungs, study.name)
        self._open(stage, trials, retry)
        self._store.describe(study, stage)

    def lease(self, host: str, folder: str) -> Lease:
        """Return the right of a driver, on `host` in `folder`, to run the study; not yet acquired."""
        return self._store.lease(host, folder)

    @property
    def notes(self) -> Notes:
        """What the study keeps in its store beside its trials."""
        return self._store.notes

    def claim(self, count: int) -> list[TrialSpec]:
        """Start up to `count` trials of one recipe, memory bank and seed; [] when nothing waits. Never waits itself."""
        batch = self._batch(count)
        while self._has_place(batch, count) and self._propose():
            before, batch = batch, self._batch(count)
            # A memory bank of another size: drawing until enough fit would spend the budget before any score.
            if len(batch) == len(before):
                break
        for entry in batch:
            self._store.start(entry)
            self._entries.moved(entry, "waiting")
        return [entry.spec for entry in batch]

    def waits_for(self, cell: Cell) -> bool:
        """Whether a trial of this cell's recipe could be started now: one that waits, or one still to be proposed."""
        if self._affords_more() and self._recipe(cell) == self._study.recipe:
            return True
        return any(self._train_together(entry.spec.cell, cell) for entry in self._entries.waiting())

    def report(self, key: str, step: int, rung_index: int, value: float, beside: Floats | None = None) -> None:
        """Take the objective at a rung, and second objectives `beside` it; a rung reported before keeps its values."""
        entry = self._entries[key]
        if step not in entry.values:
            apart = self._study.minimised.apart if step == self._recipe(entry.spec.cell).train.steps else ""
            self._store.observe(entry, step, value, apart, beside)
            self._pruning.observe(entry, rung_index, value)

    def judge(self, keys: Iterable[str]) -> frozenset[str]:
        """Return which of these running trials must stop. Call it when all lanes of a rung have reported.

        Never the baseline, nor a trial that reached the last rung. Where whole configurations are judged, waiting
        trials of one that is out are dropped too: see `take_dropped`. A share of the configurations, `audit_fraction`,
        is never stopped but marked: see `audited`.
        """
        self._pruning.update()
        self._drop()
        judged = (entry for key in keys if not ((entry := self._entries[key]).final or self._at_last_rung(entry)))
        return frozenset(entry.spec.key for entry in judged if self._pruning.stops(entry) and not self._audits(entry))

    def out(self, keys: Iterable[str]) -> frozenset[str]:
        """Return which of these running trials belong to a configuration that is out, unless it runs on as an audit.

        Asked of trials that wait at a rung where they were judged before the verdict on their configuration.
        """
        entries = (self._entries[key] for key in keys)
        eliminated = (entry for entry in entries if entry.spec.cell.key in self._pruning.eliminated)
        return frozenset(entry.spec.key for entry in eliminated if not self._audits(entry))

    def audited(self, key: str) -> bool:
        """Whether the pruner would have stopped this trial, which runs on so that the pruner can be checked."""
        return self._entries[key].outcome == AUDITED

    def take_dropped(self) -> tuple[TrialSpec, ...]:
        """Return, once, the trials dropped before they started; the first call after opening returns all ever."""
        dropped, self._dropped = tuple(self._dropped), []
        return dropped

    def finish(self, key: str, state: TrialState, value: float | None = None, reason: str = "") -> None:
        """End a trial; complete needs a finite `value`, `reason` is why one failed.

        The same end again is a no-op, another a ValueError.
        """
        entry = self._entries[key]
        if entry.final:
            if entry.state != state:
                raise ValueError(f"trial {key} ended {entry.state} and cannot end {state}")
            return
        if state == "complete" and (value is None or not math.isfinite(value)):
            raise ValueError(f"trial {key} cannot be complete without a finite value, but was given {value}")
        if state == "pruned":  # as Optuna's Study.tell does, unless that value is of another metric
            value = None if self._study.minimised.apart else next(reversed(entry.values.values()), None)
        outcome = {"diverged": "diverged", "failed": reason}.get(state, "")
        self._end(entry, state, value if state in ("complete", "pruned") else None, outcome)

    def running(self) -> tuple[TrialSpec, ...]:
        """Return the trials in work; after opening, those that a crash or an interrupt left so."""
        return tuple(entry.spec for entry in self._entries.running())

    def is_running(self, key: str) -> bool:
        """Whether a trial is in work."""
        return self._entries[key].state == "running"

    def states(self) -> dict[str, TrialState]:
        """Return every trial's state by key, in order of creation."""
        return dict(self._entries.states())

    def counts(self) -> dict[TrialState, int]:
        """Count trials by state; states that no trial is in are left out."""
        return self._entries.counts()

    def done(self) -> bool:
        """Whether nothing waits, runs or is left to propose."""
        return not self.counts().keys() & {"waiting", "running"} and not self._affords_more()

    def best(self) -> Best | None:
        """Return the complete trial with the lowest objective, if any is complete."""
        return self._entries.best()

    def eligible(self) -> tuple[Cell, ...]:
        """Return the settings that a confirm stage may take over, in order of creation."""
        return eligible(self._entries, self._pruning.eliminated)

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells of all trials, in order of creation."""
        return tuple({entry.spec.cell.key: entry.spec.cell for entry in self._entries}.values())

    def outcomes(self) -> dict[str, float | None]:
        """Return the objective of every trial that has ended, by key; None where it has none."""
        return {
            entry.spec.key: entry.value if entry.state == "complete" else None for entry in self._entries if entry.final
        }

    def beside(self) -> dict[str, Floats]:
        """Return the second objectives of every complete trial, by key and recorded name."""
        return {entry.spec.key: entry.beside for entry in self._entries if entry.state == "complete"}

    def rungs(self) -> dict[str, dict[int, float]]:
        """Return the objective of every trial at the rungs it reached, by key and step."""
        return {entry.spec.key: dict(entry.values) for entry in self._entries}

    def has_all(self, trials: Iterable[TrialSpec]) -> bool:
        """Whether every one of these trials is known."""
        return all(trial.key in self._entries for trial in trials)

    def extend(self, trials: Sequence[TrialSpec]) -> None:
        """Append trials of known cells on further seeds; those that are there already stay as they are."""
        self._parameters.take(trials)
        self._add(*trials)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _open(self, stage: Stage, trials: Sequence[TrialSpec], retry: bool) -> None:
        if retry:
            self._store.reopen_failed()
        known, distributions = self._store.load()
        self._parameters = Parameters(self._study, trials, distributions)
        for entry in known:
            self._entries.add(entry)
            steps = rung_steps(self._study, self._recipe(entry.spec.cell), stage)
            for step, value in entry.values.items():
                self._pruning.observe(entry, steps.index(step), value)
        for entry in filter(lambda entry: entry.final or entry.outcome == AUDITED, known):
            self._pruning.ended(entry)
            if entry.outcome == DROPPED:
                self._dropped.append(entry.spec)
        # A crash may have left the later seeds of a proposed configuration unwritten, or waiting trials undropped.
        proposed = [TrialSpec(stage=stage, cell=cell, seed=seed) for cell in self._proposed() for seed in self._seeds]
        self._add(*trials, *proposed)
        self._drop()

    def _add(self, *trials: TrialSpec) -> None:
        """Append trials; those that are there already are left as they are."""
        new = {trial.key: trial for trial in trials if trial.key not in self._entries}
        try:
            added = self._store.add(
                [NewTrial(trial, *self._parameters.of(trial)) for trial in new.values()], len(self._entries)
            )
        except ValueError as error:
            first = next(iter(new.values()))
            raise ConflictError(
                f"{first.cell.label!r} does not fit the search that {self._study.name} began: {error}",
                "give the changed study a new name",
            ) from error
        for entry in added:
            self._entries.add(entry)

    def _rank(self, entry: Entry) -> int:
        """Return a waiting trial's place in the queue: with a proposer seed after seed, else as it was created."""
        if not self._proposer:
            return 0
        return self._seeds.index(entry.spec.seed) if entry.spec.seed in self._seeds else len(self._seeds)

    def _batch(self, count: int) -> list[Entry]:
        """Return the first waiting trial and those after it that may train with it."""
        first = self._entries.first_waiting()
        if first is None:
            return []
        line = self._entries.waiting_on(first.spec.seed)
        return list(islice((entry for entry in line if self._train_together(entry.spec.cell, first.spec.cell)), count))

    def _train_together(self, first: Cell, second: Cell) -> bool:
        mine, theirs = self._recipe(first), self._recipe(second)
        return (mine is theirs or mine == theirs) and first.dispersion.bank == second.dispersion.bank

    def _recipe(self, cell: Cell) -> Recipe:
        if cell.key not in self._recipes:
            self._recipes[cell.key] = cell.recipe(self._study.recipe)
        return self._recipes[cell.key]

    def _has_place(self, batch: Sequence[Entry], count: int) -> bool:
        """Whether a new configuration, on the first seed, would go before this batch or with it."""
        others = not batch or batch[0].spec.seed != self._seeds[0]
        return others or (len(batch) < count and self._recipe(batch[0].spec.cell) == self._study.recipe)

    def _propose(self) -> bool:
        """Add a new configuration on every seed; say whether budget and space had room for it."""
        if not self._proposer or not self._affords_more():
            return False
        cell = self._proposer.propose(len(self._proposed()), self._entries)
        self._exhausted = cell is None
        if cell:
            self._add(*(TrialSpec(stage="screen", cell=cell, seed=seed) for seed in self._seeds))
        return cell is not None

    def _proposed(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells() if cell.key not in self._given) if self._proposer else ()

    def _affords_more(self) -> bool:
        budget = self._study.screen.trials or 0
        room = len(self._entries) + len(self._seeds) <= budget
        return self._proposer is not None and not self._exhausted and room

    def _at_last_rung(self, entry: Entry) -> bool:
        return self._recipe(entry.spec.cell).train.steps in entry.values

    def _audits(self, entry: Entry) -> bool:
        """Mark a trial that would be stopped, if its configuration is one of those that run on for the audit."""
        if entry.outcome != AUDITED and is_audited(self._study, entry.spec.cell):
            self._store.mark(entry, AUDITED)
        return entry.outcome == AUDITED

    def _drop(self) -> None:
        """End the waiting trials of eliminated configurations."""
        for entry in self._entries.waiting_of(self._pruning.eliminated):
            if not self._audits(entry):
                self._end(entry, "pruned", None, DROPPED)
                self._dropped.append(entry.spec)

    def _end(self, entry: Entry, state: TrialState, value: float | None, outcome: str) -> None:
        before = entry.state
        self._store.finish(entry, state, value, outcome)
        self._entries.moved(entry, before)
        self._pruning.ended(entry)
