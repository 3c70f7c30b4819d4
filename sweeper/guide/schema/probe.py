"""The linear probe's results on frozen tokens, as a guide shows them. Frozen and plain."""

from __future__ import annotations

from sweeper.records import Stage
from trainer.recipe import Frozen


class ProbeAccuracy(Frozen):
    """Held-out accuracy, from 0 to 1, by the tokens of one block at one noise level; mean over seeds.

    `level` lies between noise, 0, and data, 1. `similarity` is the mean linear CKA of the block and each of the others.
    """

    block: int
    level: float
    linear: float
    neighbours: float | None = None
    similarity: float | None = None


class ProbeStep(Frozen):
    """The linear probe's mean accuracy over blocks and levels at one step of training."""

    step: int
    linear: float


class ProbeArm(Frozen):
    """One cell's accuracies over `n` seeds, and by step in the screen where earlier rungs were probed too.

    `change` is accuracy minus the baseline's, averaged over blocks and levels and paired by seed; `low` to `high` is
    its 95 % t-interval. None for the baseline; a single seed has no interval.
    """

    key: str
    label: str
    n: int
    accuracies: tuple[ProbeAccuracy, ...]
    steps: tuple[ProbeStep, ...] = ()
    change: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def best(self) -> ProbeAccuracy:
        """Where the linear probe is most accurate."""
        return max(self.accuracies, key=lambda at: at.linear)


class Probe(Frozen):
    """The baseline's accuracies, and beside them those of the settings that readers ask about first."""

    stage: Stage
    baseline: ProbeArm
    settings: tuple[ProbeArm, ...]

    @property
    def arms(self) -> tuple[ProbeArm, ...]:
        """All of them, the baseline first."""
        return (self.baseline, *self.settings)
