"""Second objectives of a study: what a setting may be traded against the objective for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sweeper.study.field_error import FieldError
from sweeper.study.objective import LEAST, refusal
from sweeper.text.numbers import metric_name
from trainer.recipe import METRICS, Better, EvalRecipe, MetricName

COST: Final = "cost"
SECONDS: Final = "train_s"  # what a record holds of a trial's cost
COST_STEP = 0.05
SecondName = Literal[MetricName, "cost"]
Columns = Mapping[str, Sequence[float]]


class SecondObjective(NamedTuple):
    """A metric of the last rung, or the cost: how long training took."""

    name: SecondName
    evaluation: EvalRecipe

    @property
    def is_cost(self) -> bool:
        """Whether it is the time of training, about which no claim is made."""
        return self.name == COST

    @property
    def recorded(self) -> str:
        """Its name in a record, e.g. 'recall_10k'."""
        return SECONDS if self.name == COST else self.evaluation.recorded(self.name)

    @property
    def better(self) -> Better:
        """The better direction."""
        return "lower" if self.name == COST else METRICS[self.name].better or "lower"

    def of(self, metrics: Mapping[str, float]) -> float:
        """Return its value among a last rung's metrics; NaN where they lack it."""
        return metrics.get(self.recorded, math.nan)

    def loss(self, log_change: float) -> float:
        """Return a logarithm of a ratio so that lower is better."""
        return -log_change if self.better == "higher" else log_change

    def level(self, own: Sequence[float], baseline: Sequence[float]) -> float:
        """Return where an arm's trials stand, lower being better; NaN without a value.

        A metric's level is the mean of the logarithms. The cost is counted in steps from the baseline's, that of the
        fastest trial, since a mean would include the machine's other load.
        """
        own, baseline = _known(own), _known(baseline)
        if self.is_cost:
            return cost_steps(min(own) / min(baseline)) if own and baseline and min(baseline) > 0 else math.nan
        return self.loss(sum(math.log(max(value, LEAST)) for value in own) / len(own)) if own else math.nan


def cost_steps(ratio: float) -> float:
    """Return a ratio of two training times in whole steps of 5 %: timings differ by less than that for no reason.

    >>> cost_steps(1.02), cost_steps(0.98), cost_steps(1.1), cost_steps(0.5)
    (0, 0, 2, -14)
    """
    return round(math.log(ratio) / math.log1p(COST_STEP)) if ratio > 0 else math.nan


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def levels(traded: Sequence[SecondObjective], own: Columns, baseline: Columns) -> tuple[float, ...]:
    """Return where an arm stands in each second objective, given its trials' values by recorded name."""
    return tuple(one.level(own.get(one.recorded, ()), baseline.get(one.recorded, ())) for one in traded)


def objective_name(recorded: str, distance: str) -> str:
    """Write any objective's recorded name for readers; `distance` is what the Frechet distance is called."""
    return "training time" if recorded == SECONDS else metric_name(recorded, distance)


def measured(traded: Sequence[SecondObjective], metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what a last rung's metrics hold of second objectives, by recorded name."""
    found = {second.recorded: second.of(metrics) for second in traded}
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
