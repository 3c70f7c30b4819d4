"""The messages between coordinator and workers: plain values that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from sweeper.records import CardMemory, Facts, Rung, TrialSpec
from trainer.recipe import Frozen, MetricName, Recipe

Doing = Literal["training", "measuring"]


class Source(Frozen):
    """The saved state of a cohort that was split: `keys` are its lanes as built, `taken` those another continues."""

    checkpoint: str
    keys: tuple[str, ...]
    taken: tuple[str, ...]


class Assignment(Frozen):
    """A cohort as a worker gets it: one attempt at training some trials that share a recipe.

    `living` are the keys still wanted (all of them at first); `rungs` are the optimiser steps it has to report;
    relative paths of the recipe start from `base`. Until `checkpoint` is written, lanes begin as the `sources` left
    them, which name them in their order, or at step 0 where there are none; where the cohort is to part, the lanes it
    parks are saved at `parked`. `gpus` may be a part of one. With `check_fid` the worker compares its FID with
    torch-fidelity's on the same features once; with `full` it adds the full metric at the last rung; before that one it
    measures what the `objective` needs; weights that are kept go into the folder `weights`, if there is one.
    """

    cohort: str
    attempt: int
    recipe: Recipe
    trials: tuple[TrialSpec, ...]
    living: frozenset[str]
    rungs: tuple[int, ...]
    checkpoint: str
    parked: str
    sources: tuple[Source, ...]
    checkpoint_seconds: float
    cache: str
    base: str
    cpus: int
    gpus: float
    check_fid: bool
    full: bool
    objective: MetricName
    weights: str | None


class LaneReport(Frozen):
    """One lane's news from a worker at a rung; `grid_png` is its sample grid at the last rung.

    There `weights` is the file with its averaged weights, if they are to be kept; `lost` says why there is none.
    """

    key: str
    diverged: bool
    rung: Rung
    grid_png: bytes | None = None
    weights: str | None = None
    lost: str = ""


class Heartbeat(Frozen):
    """What a worker does right now, for displays and live curves; one that is lost changes nothing.

    `losses` are the training losses of its living lanes by trial key, over about the last 50 steps; `until` is the step
    of the next rung. `card` is the memory of its GPU, None on a CPU.
    """

    cohort: str
    attempt: int
    doing: Doing
    step: int
    until: int
    losses: Mapping[str, float] = {}
    card: CardMemory | None = None


class CoordinatorClient(Protocol):
    """The coordinator's interface to a worker. Every call raises StaleAttemptError once a newer attempt has begun."""

    def started(self, cohort: str, attempt: int, facts: Facts) -> None:
        """Report that training begins, and on what."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Tell what the worker does, without waiting for an answer; raises nothing."""

    def report(
        self, cohort: str, attempt: int, reports: Sequence[LaneReport], facts: Facts, last: bool
    ) -> frozenset[str]:
        """Record a rung of all living lanes and return the keys of those that go on."""

    def parts(self, cohort: str, attempt: int, step: int) -> bool:
        """Whether the survivors of a rung are to be parked instead of trained on here."""

    def park(self, cohort: str, attempt: int, step: int) -> None:
        """Give the saved survivors of a rung back to the coordinator."""
