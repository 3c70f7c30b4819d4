"""The objective that a study minimises, and which metrics can be one."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sweeper.text.numbers import INVERTED
from trainer.recipe import METRICS, EvalRecipe, Metric, MetricName, Recorded
from trainer.recipe.metrics import Place

USUAL: MetricName = "fid"
# A recall of 0 has no reciprocal: this value exceeds any possible one, and is finite for the search store.
LEAST = 1e-6


class Objective(NamedTuple):
    """A metric as what a study minimises: a metric that is better higher by its reciprocal, the others as they are.

    So search, race and guide know only one direction, and logarithms only change sign: 1/recall 10 % lower is recall
    11 % higher. Records keep the metric itself. `traded` names a study's second objectives.
    """

    metric: Metric
    evaluation: EvalRecipe
    traded: Collection[str] = ()

    def recorded(self, last: bool = True) -> str:
        """Return the metric's name in a record at the last rung or before it, e.g. 'recall_10k' and 'recall_2500'."""
        return self.evaluation.recorded(self.metric.name, last)

    def name(self, last: bool = True) -> str:
        """Return the name of what is minimised: 'fid_10k', and '1/recall_10k' for what is better higher."""
        return f"{INVERTED if self.is_inverted else ''}{self.recorded(last)}"

    @property
    def apart(self) -> str:
        """Return the name at the last rung where rungs before it record another metric, of fewer samples; else ''."""
        return "" if self.name(last=False) == self.name() else self.name()

    @property
    def is_fid(self) -> bool:
        """Whether the metric is FID, as in any study that does not say otherwise."""
        return self.metric.name == USUAL

    @property
    def is_inverted(self) -> bool:
        """Whether the metric is better higher."""
        return self.metric.better == "higher"

    def inverted(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the minimised reciprocal by name, which a rung's metrics do not contain; empty if none is inverted."""
        rungs = [last for last in (False, True) if self.is_inverted and self.recorded(last) in metrics]
        return {self.name(last): self.of(metrics, last) for last in rungs}

    def place(self, recorded: Recorded) -> Place:
        """Return what the guide does with a recorded metric.

        What is minimised is no outcome beside itself, but a reader also wants to see an inverted one as it is. FID,
        where it is not the objective, is among the outcomes that claims are made about, and so is a second objective.
        """
        name, metric, whole = recorded.name, recorded.metric, self.evaluation.recorded(recorded.metric.name)
        if metric.name == self.metric.name:
            return "shown" if self.is_inverted and name == whole else "objective"
        if metric.name == USUAL or metric.name in self.traded:
            return "claimed" if name == whole else "left out"
        # Before the last rung, and of as many samples at the last, some are measured since they share the work.
        early = metric.counted and name == self.evaluation.recorded(metric.name, last=False) != whole
        return "left out" if early else metric.guide

    @property
    def early_share(self) -> float:
        """The share of eval.samples that rungs before the last draw: none where it is not of samples."""
        return self.evaluation.samples_at(last=False) / self.evaluation.samples if self.metric.sampled else 0.0

    def of(self, metrics: Mapping[str, float], last: bool = True) -> float:
        """Return what is minimised, given a rung's metrics; NaN where they lack it."""
        value = metrics.get(self.recorded(last), math.nan)
        return 1 / max(value, LEAST) if self.is_inverted else value


def refusal(name: MetricName, evaluation: EvalRecipe) -> str:
    """Return why a study cannot minimise a metric, as a sentence that begins with 'must'; empty if it can."""
    metric = METRICS[name]
    if not metric.ranks:
        known = ", ".join(name for name, other in METRICS.items() if other.ranks and evaluation.measures(name))
        why = "values may be 0 or less, which have no ratio" if metric.better else "values are better in no direction"
        return f"must be one of {known}: {metric.words}'s {why}"
    if not evaluation.measures(name):
        if metric.optional and evaluation.extractor in metric.through:
            return f"must be measured: add {name} to recipe.eval.metrics"
        return f"must be measured: {name} needs recipe.eval.extractor {' or '.join(metric.through)}"
    if evaluation.reference is not None and name not in (USUAL, "val_loss"):
        return "must be fid or val_loss with recipe.eval.reference, a file that need not hold what other metrics need"
    return ""
