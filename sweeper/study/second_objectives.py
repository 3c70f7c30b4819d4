"""Second objectives of a study: what a setting may be traded against the objective for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sweeper.study.field_error import FieldError
from sweeper.study.objective import LEAST, refusal
from sweeper.text.numbers import metric_name
from trainer.recipe import METRICS, Better, EvalRecipe, MetricName

COST: Final = "cost"
# What a record holds of a trial's cost: operations, of a network whose passes are counted, and the time it took.
FLOPS: Final = "train_flops"
SECONDS: Final = "train_s"
COSTS = (FLOPS, SECONDS)
COST_WORDS = {FLOPS: "training FLOPs", SECONDS: "training time"}
COST_STEP = 0.05
SecondName = Literal[MetricName, "cost"]
Columns = Mapping[str, Sequence[float]]


class SecondObjective(NamedTuple):
    """A metric of the last rung, or the cost of training: its operations or, where they are not counted, its time."""

    name: SecondName
    evaluation: EvalRecipe

    @property
    def is_cost(self) -> bool:
        """Whether it is the cost, about which no claim is made."""
        return self.name == COST

    def recorded(self, names: Collection[str] = ()) -> str:
        """Return its name in a record with these names, e.g. 'recall_10k'; the cost is what the record has of it."""
        if self.name == COST:
            return FLOPS if FLOPS in names else SECONDS
        return self.evaluation.recorded(self.name)

    @property
    def better(self) -> Better:
        """The better direction."""
        return "lower" if self.name == COST else METRICS[self.name].better or "lower"

    def of(self, metrics: Mapping[str, float]) -> float:
        """Return its value among a last rung's metrics; NaN where they lack it."""
        return metrics.get(self.recorded(metrics), math.nan)

    def loss(self, log_change: float) -> float:
        """Return a logarithm of a ratio so that lower is better."""
        return -log_change if self.better == "higher" else log_change

    def level(self, own: Sequence[float], baseline: Sequence[float]) -> float:
        """Return where an arm's trials stand, lower being better; NaN without a value.

        A metric's level is the mean of the logarithms. The cost is counted in steps from the baseline's, that of the
        cheapest trial, since a mean of times would include the machine's other load.
        """
        own, baseline = _known(own), _known(baseline)
        if self.is_cost:
            return cost_steps(min(own) / min(baseline)) if own and baseline and min(baseline) > 0 else math.nan
        return self.loss(sum(math.log(max(value, LEAST)) for value in own) / len(own)) if own else math.nan


def cost_steps(ratio: float) -> float:
    """Return a ratio of two costs in whole steps of 5 %: what differs by less costs the same.

    >>> cost_steps(1.02), cost_steps(0.98), cost_steps(1.1), cost_steps(0.5)
    (0, 0, 2, -14)
    """
    return round(math.log(ratio) / math.log1p(COST_STEP)) if ratio > 0 else math.nan


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def levels(traded: Sequence[SecondObjective], own: Columns, baseline: Columns) -> tuple[float, ...]:
    """Return where an arm stands in each second objective, given its trials' values by recorded name."""
    named = ((second_objective, second_objective.recorded(own)) for second_objective in traded)
    return tuple(second_objective.level(own.get(name, ()), baseline.get(name, ())) for second_objective, name in named)


def columns(trials: Sequence[Mapping[str, float]]) -> Columns:
    """Return the values of several trials by recorded name."""
    names = dict.fromkeys(name for values in trials for name in values)
    return {name: [values.get(name, math.nan) for values in trials] for name in names}


def objective_name(recorded: str, distance: str) -> str:
    """Write any objective's recorded name for readers; `distance` is what the Frechet distance is called."""
    return COST_WORDS.get(recorded) or metric_name(recorded, distance)


def measured(traded: Sequence[SecondObjective], metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what a last rung's metrics hold of second objectives, by recorded name."""
    found = {second.recorded(metrics): second.of(metrics) for second in traded}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def second_errors(objective: MetricName, names: Sequence[SecondName], evaluation: EvalRecipe) -> Iterator[FieldError]:
    """Yield each second objective that the study already has, or that it does not measure."""
    for place, name in enumerate(names):
        says = ""
        if name == objective:
            says = "must be another metric than the study's objective"
        elif name in names[:place]:
            says = "must be named once"
        elif name != COST:
            says = refusal(name, evaluation)
        if says:
            yield FieldError(("second_objectives", place), says, name)
