"""Optuna's own pruners, made to judge lanes that reach a rung together; the default is in `race`."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Collection, Mapping, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, WilcoxonPruner
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from sweeper.records import BASELINE_KEY, TrialState
from sweeper.search.race import HALF, Point

FACTOR = 2
LEAST_SEEDS = 3


class StockPruner:
    """One of Optuna's pruners of single trials, on an in-memory copy of the study that spares reading the store.

    Halving records which trials reached a rung while it judges, so the verdict depended on the order of judging. Here
    we snapshot each trial before recording its rung, record every trial of the rung when it reports, and judge the
    snapshot: each trial is compared with all the others. Reports alone decide, so a copy rebuilt from the store
    decides alike.
    """

    def __init__(self, pruner: BasePruner, rungs: int, study_name: str) -> None:
        """Rung i of `rungs` is step 2^i in Optuna."""
        self._pruner, self._last = pruner, rungs - 1
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, study_name=study_name, pruner=self._pruner)
        self._ids: list[int] = []
        self._arrived: dict[int, tuple[int, FrozenTrial]] = {}

    def observe(self, number: int, rung: int, value: float) -> None:
        """Take a report of the trial with this Optuna number."""
        trial_id = self._id(number)
        self._storage.set_trial_intermediate_value(trial_id, FACTOR**rung, value)
        trial = self._storage.get_trial(trial_id)
        self._arrived[number] = (rung, trial)
        if rung < self._last:
            self._pruner.prune(self._study, trial)

    def finish(self, number: int, state: TrialState, value: float | None) -> None:
        """Take the end of a trial."""
        if state == "complete" and value is not None:
            self._storage.set_trial_state_values(self._id(number), OptunaState.COMPLETE, [value])
        else:
            self._storage.set_trial_state_values(self._id(number), OptunaState.PRUNED)

    def dooms(self, number: int) -> bool:
        """Whether the trial must stop at the rung it last reported; never at the last rung."""
        rung, trial = self._arrived.get(number, (self._last, None))
        return trial is not None and rung < self._last and self._pruner.prune(self._study, trial)

    def _id(self, number: int) -> int:
        # Hyperband draws a trial's bracket from its number, so numbers here are those of the store.
        while len(self._ids) <= number:
            self._ids.append(self._storage.create_new_trial(self._study._study_id))
        return self._ids[number]


class Wilcoxon:
    """All values reported so far, for `wilcoxon_eliminated` to judge."""

    def __init__(self, rungs: Sequence[float]) -> None:
        self._rungs = rungs
        self._values: dict[Point, float] = {}

    def observe(self, at: Point, fid: float) -> None:
        """Take a value."""
        self._values[at] = fid

    def eliminated(self) -> frozenset[str]:
        """Name the configurations that are out, never the baseline."""
        return wilcoxon_eliminated(self._values, self._rungs)


def wilcoxon_eliminated(
    values: Mapping[Point, float], rungs: Sequence[float], exempt: Collection[str] = (BASELINE_KEY,)
) -> frozenset[str]:
    """Name the configurations that Optuna's WilcoxonPruner gives up against the best on the same seeds.

    Its problem instances are the seeds at one rung, half of the budget or later, in log FID; its trials are whole
    configurations. The threshold .13 instead of Optuna's .1 lets three seeds of three decide (p = 1/8); fewer
    cannot.
    """
    eliminated: set[str] = set()
    for rung in (index for index, share in enumerate(rungs) if share >= HALF):
        seen = _log_values(values, rung)
        for seeds in {frozenset(mine) for mine in seen.values() if len(mine) >= LEAST_SEEDS}:
            eliminated |= _given_up(seen, sorted(seeds))
    return frozenset(eliminated - set(exempt))


def _log_values(values: Mapping[Point, float], rung: int) -> dict[str, dict[int, float]]:
    seen: dict[str, dict[int, float]] = {}
    for at, value in values.items():
        if at.rung == rung and 0 < value < math.inf:
            seen.setdefault(at.cell, {})[at.seed] = math.log(value)
    return seen


def _given_up(seen: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> set[str]:
    """Compare the cells measured on exactly these seeds with the best of all cells that have these seeds."""
    on_seeds = {cell: tuple(mine[seed] for seed in seeds) for cell, mine in seen.items() if mine.keys() >= set(seeds)}
    best = min(on_seeds, key=lambda cell: (sum(on_seeds[cell]), cell))
    judged = [cell for cell in on_seeds if cell != best and len(seen[cell]) == len(seeds)]
    return {cell for cell in judged if _prunes(on_seeds[cell], on_seeds[best])}


@functools.lru_cache(maxsize=4096)
def _prunes(mine: tuple[float, ...], best: tuple[float, ...]) -> bool:
    """Ask Optuna about log FID on the same seeds; cached, since few configurations change between two calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        pruner = WilcoxonPruner(p_threshold=0.13)
    study = optuna.create_study()
    study.add_trial(create_trial(value=sum(best) / len(best), intermediate_values=dict(enumerate(best))))
    return pruner.prune(study, create_trial(state=OptunaState.RUNNING, intermediate_values=dict(enumerate(mine))))
