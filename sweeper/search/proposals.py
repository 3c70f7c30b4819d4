"""New configurations under sampler random or tpe, drawn by Optuna given the results of earlier ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from random import Random
from typing import Any, NamedTuple, assert_never

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from sweeper.errors import StudyError
from sweeper.planning.cells import setting_cell
from sweeper.planning.size import searched_count
from sweeper.records import Cell, Stage
from sweeper.search.parameters import idle_word, space
from sweeper.search.store import Entry
from sweeper.study import Range, Study
from sweeper.study.knobs import KNOBS, Knob, Value, Word, parameter_knobs, setting_of, word
from trainer.recipe import Dispersion

# A draw that repeats a configuration is drawn again; only lists can repeat, and those can be listed.
DRAWS = 10


class Proposer:
    """Draws configurations that a study does not have yet.

    Every draw starts a fresh sampler whose seed follows from the study and from how many configurations were drawn
    before, so that a study continued in another process draws as it would have. The sampler sees an in-memory
    study with one observation a configuration, in log FID averaged over its seeds: later seeds of a configuration
    tell the sampler nothing new about the space, and baseline, controls and cells outside the space are not part of it.
    """

    def __init__(self, study: Study, expected: int) -> None:
        """`expected` is how many configurations the budget allows; tpe draws the first third of them at random."""
        self._study, self._startup = study, min(10, max(3, expected // 3))
        self._space, self._knobs = space(study), parameter_knobs(study)

    def propose(self, drawn: int, entries: Iterable[Entry]) -> Cell | None:
        """Return the next configuration after `drawn` others, or None when the space holds no new one."""
        known: dict[Dispersion, list[Entry]] = {}
        for entry in entries:
            if entry.spec.cell.role == "grid":
                known.setdefault(entry.spec.cell.dispersion, []).append(entry)
        seen = [trial for setting, seeds in known.items() if (trial := self._observation(setting, seeds))]
        for attempt in range(DRAWS):
            study = optuna.create_study(sampler=self._sampler(drawn, attempt))
            study.add_trials(seen)
            setting = self._setting(study.ask(self._space).params)
            if setting not in known:
                return setting_cell(setting, self._study.recipe.model.taps)
        return self._any_but(known.keys(), drawn)

    def _sampler(self, drawn: int, attempt: int) -> BaseSampler:
        seed = self._seed(f"{drawn}.{attempt}")
        sampler = self._study.screen.sampler
        match sampler:
            case "random":
                return RandomSampler(seed)
            case "tpe":
                return TPESampler(seed=seed, n_startup_trials=self._startup)
            case "grid":
                raise AssertionError("a grid is planned, not proposed")
            case _:
                assert_never(sampler)

    def _seed(self, purpose: str) -> int:
        return int(hashlib.sha256(f"{self._study.name}.{purpose}".encode()).hexdigest()[:8], 16)

    def _setting(self, params: Mapping[str, Any]) -> Dispersion:
        drawn = {knob.name: self._value(knob, params[knob.name]) for knob in self._knobs}
        fixed = {knob.name: knob.points(self._study)[0] for knob in KNOBS if knob not in self._knobs}
        return setting_of(fixed | drawn)

    def _value(self, knob: Knob, drawn: Word) -> Value:
        """Return what the sampler drew as the loss has it; a drawn number as the 6 digits that people read."""
        axis = knob.axis(self._study)
        if isinstance(axis, Range):
            return min(max(float(f"{drawn:.6g}"), axis.low), axis.high)
        taps = self._study.recipe.model.taps
        return next(value for value in axis if word(value, taps) == drawn)

    def _any_but(self, known: Iterable[Dispersion], drawn: int) -> Cell | None:
        """Pick from a space of lists what is left of it."""
        axes = [axis.choices for axis in self._space.values() if isinstance(axis, CategoricalDistribution)]
        if len(axes) < len(self._space):
            return None
        every = dict.fromkeys(self._setting(dict(zip(self._space, chosen, strict=True))) for chosen in product(*axes))
        left = [setting for setting in every if setting not in set(known)]
        if not left:
            return None
        return setting_cell(Random(self._seed(f"{drawn}.left")).choice(left), self._study.recipe.model.taps)

    def _observation(self, setting: Dispersion, seeds: Sequence[Entry]) -> FrozenTrial | None:
        taps = self._study.recipe.model.taps
        params = {
            knob.name: idle_word(knob, self._study) if (value := knob.of(setting)) is None else word(value, taps)
            for knob in self._knobs
        }
        state, value, values = _news(seeds)
        try:
            return create_trial(
                state=state, value=value, params=params, distributions=self._space, intermediate_values=values
            )
        except ValueError:
            return None  # A marked cell outside the space.


class _News(NamedTuple):
    state: OptunaState
    value: float | None = None
    values: dict[int, float] | None = None


def _news(seeds: Sequence[Entry]) -> _News:
    """Return a configuration's observation for the sampler: a value, or that it was stopped or still runs.

    Optuna gets a configuration that diverged as stopped without a value, which tpe ranks last.
    """
    complete = [math.log(seed.value) for seed in seeds if seed.state == "complete" and seed.value and seed.value > 0]
    if complete:
        return _News(OptunaState.COMPLETE, sum(complete) / len(complete))
    stopped = [seed for seed in seeds if seed.state in ("pruned", "diverged")]
    if stopped:
        return _News(OptunaState.PRUNED, values=stopped[0].values if stopped[0].state == "pruned" else None)
    return _News(OptunaState.RUNNING)


def proposer_of(study: Study, stage: Stage, fixed: int) -> Proposer | None:
    """Return what proposes configurations in a stage beside `fixed` trials; None for a grid and the confirm stage.

    Raises StudyError where the budget does not hold the trials that are given.
    """
    if stage == "confirm" or study.screen.trials is None:
        return None
    if fixed > study.screen.trials:
        needed = fixed + len(study.screen.seeds)
        raise StudyError(
            f"screen.trials is {study.screen.trials}, but baseline, controls and cells alone are {fixed} trials",
            f"give screen.trials at least {needed}, or the study fewer seeds, cells or controls",
        )
    return Proposer(study, searched_count(study))
